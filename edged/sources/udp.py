"""Sample frames in UDP datagrams, as acquisition boxes send them: several kHz a channel, no word about what is lost.

Three channels of 25.6 kHz int16, 240 samples a datagram, cost 1.4 % of one core (x86, 3 GHz), or 3.6 % at 32 samples a
datagram: no loop runs over samples.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
from collections import Counter

import numpy as np

from edged.domain.errors import DeviceError, SourceLostError
from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock
from edged.sources.closing import Closing
from edged.sources.datagram import DatagramLayout, Datagrams
from edged.sources.dating import Dater, RateDating
from edged.telemetry import logs

NS_PER_S = 1_000_000_000

BUFFER_BYTES = 2 << 20
"""Asked of the kernel for datagrams that wait: 13 s of three channels of 25.6 kHz. It may grant less (rmem_max)."""

ENOUGH_BYTES = 1 << 16
"""Less than this (0.4 s of the above) is worth a warning: a busy box is late by so much now and then."""

MAX_DATAGRAM_BYTES = 65_535

TOGETHER = 256
"""Datagrams that one read takes at most, so that a flood cannot keep it from giving."""

GATHER_S = 0.01
"""After the first datagram, so long is waited for more: fewer wake-ups, for a delay that no model notices."""

WAIT_S = 0.2
"""How soon a closed source is noticed."""

SILENT_S = 5.0
"""Without a datagram for so long the sender counts as lost."""

_LOG = logging.getLogger("edged.sources.udp")


def open_source(
    *,
    host: str,
    port: int,
    clock: Clock,
    layout: DatagramLayout,
    rate_hz: float,
    sender: str | None = None,
    buffer_bytes: int = BUFFER_BYTES,
) -> UdpSource:
    """Listen on a port.

    Args:
        host: the address of this box to listen on.
        port: 1 to 65535; 0 takes any.
        clock: dates the samples.
        layout: what a datagram holds.
        rate_hz: samples a second of each channel.
        sender: only datagrams from this address count.
        buffer_bytes: asked of the kernel.

    Raises:
        DeviceError: the port is taken, or the address is none of this box's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        listener = socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:
        raise _refused(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from error
    listener.settimeout(0)
    granted = listener.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux tells twice of it (socket(7))
    if granted < ENOUGH_BYTES:
        remedy = "raise net.core.rmem_max"
        logs.event(_LOG, "buffer.small", level=logging.WARNING, port=port, bytes=granted, remedy=remedy)
    dater = Dater(RateDating(rate_hz), has_time=False)
    return UdpSource(listener, clock, dater, Datagrams(layout, dater, rate_hz), sender)


class UdpSource:
    """Blocks of the samples that came together.

    ``drops`` counts datagrams: ``lost`` on the way (a gap in the samples' time), ``late``, ``malformed``, and from a
    ``stranger``.
    """

    def __init__(
        self, listener: socket.socket, clock: Clock, dater: Dater, datagrams: Datagrams, sender: str | None
    ) -> None:
        self.drops: Counter[str] = dater.drops
        self._listener = listener
        self._clock = clock
        self._dater = dater
        self._datagrams = datagrams
        self._sender = sender
        self._closing = Closing(listener.close)
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._heard_ns = clock.monotonic_ns()
        self._name = _shown(*listener.getsockname()[:2])

    def read(self) -> Samples | None:
        """Wait for the next datagrams; None after ``close``.

        Raises:
            SourceLostError: nothing came for ``SILENT_S``.
        """
        with self._closing:
            while not self._closing.is_asked:
                if (samples := self._samples(self._received())) is not None:
                    return samples
            return None

    def close(self) -> None:
        """Give the port back: at once, or as soon as a read in another thread notices."""
        self._closing.ask()

    def __repr__(self) -> str:
        """Say where it listens."""
        return f"<UdpSource {self._name}: {self._closing!r}, {self._dater.samples} samples, drops {dict(self.drops)}>"

    def _received(self) -> list[bytes]:
        """Wait for a datagram, and give it with those that come close behind."""
        if not self._poll.poll(WAIT_S * 1000):
            return []
        self._closing.wait(GATHER_S)
        received: list[bytes] = []
        for _ in range(TOGETHER):
            try:
                datagram, address = self._listener.recvfrom(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            if self._sender in (None, address[0]):
                received.append(datagram)
            else:
                self.drops["stranger"] += 1
        return received

    def _samples(self, datagrams: list[bytes]) -> Samples | None:
        now_ns = self._clock.monotonic_ns()
        if datagrams:
            self._heard_ns = now_ns
        elif now_ns - self._heard_ns > SILENT_S * NS_PER_S and not self._closing.is_asked:
            message = f"cannot read {self._name}: no datagram for {SILENT_S:g} s, expected samples"
            raise SourceLostError(
                message, remedy="look at the sender, and at the firewall on the way", code="udp-silent"
            )
        self._datagrams.take(datagrams)
        dated = self._dater.dated(now_ns / NS_PER_S)
        if dated is None:
            return None
        times_s, values = dated
        stamp = Stamp(self._dater.samples - 1, now_ns, self._clock.wall_ns(), float(times_s[-1]))
        return Samples(values.astype(np.float32), times_s, stamp)


def _refused(host: str, port: int, error: OSError) -> DeviceError:
    code, wanted = _REFUSALS.get(error.errno, ("udp-failed", "an address of this box"))
    why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
    message = f"cannot listen on {_shown(host, port)}: {why}, expected {wanted}"
    return DeviceError(message, code=code)


_REFUSALS: dict[int | None, tuple[str, str]] = {
    errno.EADDRINUSE: ("udp-busy", "a port that nobody else uses"),
    errno.EACCES: ("udp-permission", "a port above 1023"),
    errno.EADDRNOTAVAIL: ("udp-address", "an address of this box"),
}


def _shown(host: str, port: int) -> str:
    return f"UDP port [{host}]:{port}" if ":" in host else f"UDP port {host}:{port}"
