"""Microphones, through sounddevice (PortAudio)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from queue import Empty, Full, Queue
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

MOST_WAITING = BLOCKS_A_SECOND
"""Blocks that wait for who reads: a second of them."""
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
    block = max(1, int(rate_hz) // BLOCKS_A_SECOND)
    heard = _Heard(clock)
    asked = {
        "samplerate": rate_hz,
        "device": device,
        "channels": max(channels) + 1,
        "dtype": "int16",
        "blocksize": block,
    }
    with _alone(device):
        try:
            stream = _started(library, {**asked, "callback": heard.take, "finished_callback": heard.end})
        except (library.PortAudioError, ValueError) as error:  # a ValueError is a name that none or several have
            message = f"cannot open microphone {_shown(device)}: {_line(error)}, expected one of {_known(library)}"
            remedy = "look at its plug, or set device"
            if _open:
                remedy += "; restart edged if it was plugged in just now: while another one is open, none is found anew"
            raise DeviceError(message, remedy=remedy, code="microphone-missing") from error
        _open.add(stream)
    return MicrophoneSource(stream, heard, channels, rate_hz)


class _Heard:
    """What PortAudio's own thread hands over: that one may hang in a driver, and whoever reads here shall not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._blocks: Queue[tuple[bytes, bool, int, int] | None] = Queue(MOST_WAITING)
        self._has_lost = False

    def take(self, data: Any, _frames: int, _time: Any, status: Any) -> None:
        """Keep a block; where nobody fetches any, it is lost. Called by PortAudio."""
        has_lost = self._has_lost or bool(status)
        try:
            self._blocks.put_nowait((bytes(data), has_lost, self._clock.monotonic_ns(), self._clock.wall_ns()))
            self._has_lost = False
        except Full:
            self._has_lost = True

    def end(self) -> None:
        """Say that no more will come. Called by PortAudio, and at the close."""
        with suppress(Full):
            self._blocks.put_nowait(None)

    def next(self) -> tuple[bytes, bool, int, int] | None:
        """Wait for a block; None when no more will come, or none came for ``SILENT_S``.

        With whether something before it was lost, and when it came by both clocks: whoever reads may be late.
        """
        try:
            return self._blocks.get(timeout=SILENT_S)
        except Empty:
            return None


class MicrophoneSource:
    """Blocks of a fiftieth of a second, float32 in -1..1. ``drops`` counts ``overrun``: sound that nobody fetched in time."""

    def __init__(self, stream: Any, heard: _Heard, channels: Sequence[int], rate_hz: float) -> None:
        self._stream, self._heard = stream, heard
        self._taken, self._rate_hz = list(channels), rate_hz
        self._dater = Dater(RateDating(rate_hz), has_time=False)
        self.drops: Counter[str] = self._dater.drops
        self._closing = Closing(self._give_back)
        self._giving: threading.Thread | None = None

    def read(self) -> Samples | None:
        """Wait for the next block; None after ``close``.

        Raises:
            SourceLostError: the microphone is gone, or nothing came for ``SILENT_S``.
        """
        with self._closing:
            block = None if self._closing.is_asked else self._heard.next()
            if self._closing.is_asked:
                return None
            if block is None:
                message = f"cannot record on: no sound came, expected {self._rate_hz:g} samples a second"
                raise SourceLostError(message, remedy="look at its plug and the sound server", code="microphone-lost")
            return self._samples(*block)

    def close(self) -> None:
        """Give the microphone back: at once, or as soon as a read in another thread has its block; ``CLOSE_S`` later if it hangs."""
        if not self._closing.ask():
            self._heard.end()

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

    def _samples(self, data: bytes, has_lost: bool, came_ns: int, wall_ns: int) -> Samples | None:  # noqa: FBT001 - as it was heard
        if has_lost:
            self.drops["overrun"] += 1
            self._dater.lose(int(LATE_STEPS))  # a gap; how long it was tells the arrival
        values = decoded(data, WIDTH, self._stream.channels)[:, self._taken]
        self._dater.add(
            np.pad(values.astype(np.float64), ((0, 0), (1, 0)))
        )  # in front, where a sensor's own time would stand
        dated = self._dater.dated(came_ns / NS_PER_S)
        if dated is None:
            return None
        stamp = Stamp(self._dater.samples - 1, came_ns, wall_ns, float(dated[0][-1]))
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
