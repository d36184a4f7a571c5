"""Microphones, through sounddevice (PortAudio)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import numpy as np

from edged.domain.errors import DeviceError, SourceLostError
from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock
from edged.sources.closing import Closing
from edged.sources.dating import LATE_STEPS, Dater, RateDating
from edged.sources.pcm import decoded

NS_PER_S = 1_000_000_000

BLOCKS_A_SECOND = 50
"""A fiftieth of a second is what speech models step by; shorter blocks only wake the box more often."""

WIDTH = 2
"""Bytes a number: 16 bits are what every sound card has."""

SILENT_S = 2.0
"""A microphone that works gives samples all the time, of silence too."""

CLOSE_S = 1.0
"""How long PortAudio may take to close a stream before it counts as hanging."""

_using = threading.Lock()
_open: set[Any] = set()
"""What this process records on."""


def open_source(
    *,
    clock: Clock,
    device: str | int | None = None,
    channels: Sequence[int] = (0,),
    rate_hz: float = 16_000.0,
    library: Any = None,
) -> MicrophoneSource:
    """Open a microphone and begin to record.

    Args:
        clock: dates the samples.
        device: a part of its name, or its number; default: the system's choice.
        channels: numbers of the channels that are taken, from 0, in the model's order.
        rate_hz: samples a second.
        library: stands in for sounddevice, for tests.

    Raises:
        DeviceError: no sounddevice or PortAudio (``library-missing``), or no such microphone (``microphone-missing``).
    """
    library = library or _sounddevice()
    asked = {"samplerate": rate_hz, "device": device, "channels": max(channels) + 1, "dtype": "int16", "blocksize": 0}
    with _alone(device):
        try:
            stream = _started(library, asked)
        except (library.PortAudioError, ValueError) as error:  # a ValueError is a name that none or several have
            message = f"cannot open microphone {_shown(device)}: {_line(error)}, expected one of {_known(library)}"
            remedy = "look at its plug, or set device"
            if _open:
                remedy += "; restart edged if it was plugged in just now: while another one is open, none is found anew"
            raise DeviceError(message, remedy=remedy, code="microphone-missing") from error
        _open.add(stream)
    dater = Dater(RateDating(rate_hz), has_time=False)
    return MicrophoneSource(library, stream, clock, dater, channels, rate_hz)


class MicrophoneSource:
    """Blocks of a fiftieth of a second, float32 in -1..1. ``drops`` counts ``overrun``: sound that nobody fetched in time."""

    def __init__(
        self, library: Any, stream: Any, clock: Clock, dater: Dater, channels: Sequence[int], rate_hz: float
    ) -> None:
        self.drops: Counter[str] = dater.drops
        self._library = library
        self._stream = stream
        self._clock = clock
        self._dater = dater
        self._taken = list(channels)
        self._rate_hz, self._block = rate_hz, max(1, int(rate_hz) // BLOCKS_A_SECOND)
        self._closing = Closing(self._give_back)
        self._giving: threading.Thread | None = None

    def read(self) -> Samples | None:
        """Wait for the next block; None after ``close``.

        Raises:
            SourceLostError: the microphone is gone, or nothing came for ``SILENT_S``.
        """
        with self._closing:
            try:
                return self._samples() if self._comes() else None
            except self._library.PortAudioError as error:
                if self._closing.is_asked:
                    return None
                message = f"cannot record on: {_line(error)}, expected sound"
                raise SourceLostError(message, remedy="look at its plug", code="microphone-lost") from error

    def close(self) -> None:
        """Give the microphone back: at once, or as soon as a read in another thread has its block; ``CLOSE_S`` later if it hangs."""
        self._closing.ask()

    def __repr__(self) -> str:
        """Say how it is."""
        return f"<MicrophoneSource {self._closing!r}, {self._dater.samples} samples, drops {dict(self.drops)}>"

    def _give_back(self) -> None:
        """Close the stream; what waits for a sound server that hangs is left to itself."""
        if self._giving is None:
            self._giving = threading.Thread(target=self._close_stream, name="edged-microphone-close", daemon=True)
            self._giving.start()
        self._giving.join(CLOSE_S)

    def _close_stream(self) -> None:
        with _using:
            try:
                self._stream.close()
            finally:
                _open.discard(self._stream)

    def _comes(self) -> bool:
        """Wait for a block, which a sound card or its server that hangs never gives; False after ``close``."""
        until_ns = self._clock.monotonic_ns() + int(SILENT_S * NS_PER_S)
        while not self._closing.is_asked and (missing := self._block - self._stream.read_available) > 0:
            if self._clock.monotonic_ns() > until_ns:
                message = (
                    f"cannot record on: nothing came for {SILENT_S:g} s, expected {self._rate_hz:g} samples a second"
                )
                raise SourceLostError(message, remedy="look at its plug and the sound server", code="microphone-lost")
            self._closing.wait(missing / self._rate_hz)
        return not self._closing.is_asked

    def _samples(self) -> Samples | None:
        data, has_lost = self._stream.read(self._block)
        now_ns = self._clock.monotonic_ns()
        if has_lost:
            self.drops["overrun"] += 1
            self._dater.lose(int(LATE_STEPS))  # a gap; how long it was tells the arrival
        values = decoded(bytes(data), WIDTH, self._stream.channels)[:, self._taken]
        self._dater.add(
            np.pad(values.astype(np.float64), ((0, 0), (1, 0)))
        )  # in front, where a sensor's own time would stand
        dated = self._dater.dated(now_ns / NS_PER_S)
        if dated is None:
            return None
        stamp = Stamp(self._dater.samples - 1, now_ns, self._clock.wall_ns(), float(dated[0][-1]))
        return Samples(values, dated[0], stamp)


def _sounddevice() -> Any:
    """Import sounddevice, which raises OSError where it finds no PortAudio."""
    try:
        return import_module("sounddevice")
    except ModuleNotFoundError as error:
        message = "cannot use a microphone: sounddevice is not installed, expected the libraries of edged[audio]"
        raise DeviceError(message, remedy="install edged[audio]", code="library-missing") from error
    except OSError as error:
        message = f"cannot use a microphone: {error}, expected the system's PortAudio"
        raise DeviceError(message, remedy="install it (Debian: libportaudio2)", code="library-missing") from error


@contextmanager
def _alone(device: str | int | None) -> Iterator[None]:
    """Open one at a time, which is all that PortAudio can do, and none while one is being closed. Raises DeviceError when that hangs."""
    if not _using.acquire(timeout=CLOSE_S):
        message = f"cannot open microphone {_shown(device)}: one that was lost is not closed yet, expected PortAudio to answer"
        raise DeviceError(message, remedy="look at the sound server; restart edged", code="microphone-missing")
    try:
        yield
    finally:
        _using.release()


def _started(library: Any, asked: Mapping[str, Any]) -> Any:
    """Begin to record. PortAudio looks for microphones once, as it begins: where one is not found it has to look again."""
    try:
        return _stream(library, asked)
    except (library.PortAudioError, ValueError):
        if _open:
            # It would take theirs away.
            raise
    with suppress(library.PortAudioError):
        library._terminate()  # noqa: SLF001 - what sounddevice has for it
    library._initialize()  # noqa: SLF001
    return _stream(library, asked)


def _stream(library: Any, asked: Mapping[str, Any]) -> Any:
    stream = library.RawInputStream(**asked)
    try:
        stream.start()
    except library.PortAudioError:
        stream.close()
        raise
    return stream


def _known(library: Any) -> str:
    try:
        devices = library.query_devices()
    except library.PortAudioError:
        return "none that could be found"
    return ", ".join(one["name"] for one in devices if one["max_input_channels"] > 0) or "none on this box"


def _shown(device: str | int | None) -> str:
    return "of the system's choice" if device is None else repr(device)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
