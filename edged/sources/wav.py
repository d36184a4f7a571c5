"""Recorded sound: WAVE files of PCM, through the standard library."""

from __future__ import annotations

import threading
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edged.domain.errors import ConfigError, SourceLostError
from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock
from edged.sources.pcm import decoded

BLOCKS_A_SECOND = 50
"""Small enough that a recording plays smoothly, large enough that a block's cost does not show."""

WIDTHS = range(1, 5)
"""Bytes a sample."""

BOUNDARY_STEPS = 10
"""How far the source's time jumps where the file begins again, so that no window spans it (a gap is above 3 steps)."""


def open_source(
    *, path: Path, clock: Clock, channels: Sequence[int] = (0,), rate_hz: float | None = None, loop: bool = False
) -> WavSource:
    """Open a WAVE file.

    Args:
        path: the file.
        clock: stamps the blocks.
        channels: numbers of the channels that are taken, from 0, in the model's order.
        rate_hz: the rate that the model was made for; a file of another is refused.
        loop: begin again at the end; the source's time goes on.

    Raises:
        ConfigError: no such file, no PCM, no such channel, another rate, or nothing in it.
    """
    try:
        file = wave.open(str(path), "rb")  # noqa: SIM115 - the source closes it
    except (
        OSError,
        EOFError,
        RuntimeError,
        wave.Error,
    ) as error:  # the last but one: a part that lies about its length
        why = error.strerror if isinstance(error, OSError) else str(error) or "it ends too early"
        message = f"cannot open {path}: {why}, expected a WAVE file of PCM"
        raise ConfigError(message) from error
    source = WavSource(file, path, clock, channels, loop=loop)
    try:
        source.check(rate_hz)
    except ConfigError:
        source.close()
        raise
    return source


class WavSource:
    """Blocks of a fiftieth of a second, float32 in -1..1."""

    def __init__(self, file: wave.Wave_read, path: Path, clock: Clock, channels: Sequence[int], *, loop: bool) -> None:
        self._file = file
        self._path = path
        self._clock = clock
        self._taken = list(channels)
        self._loop = loop
        self._rate_hz = file.getframerate()
        self._block = max(1, self._rate_hz // BLOCKS_A_SECOND)
        self._samples = 0
        self._passed = 0  # samples, and the steps between two rounds
        self._closed = False
        self._lock = threading.Lock()

    def check(self, rate_hz: float | None) -> None:
        """Raise ConfigError when the file is not what the configuration says."""
        there = self._file.getnchannels()
        missing = [channel for channel in self._taken if channel >= there]
        fault = ""
        if missing:
            fault = f"it has {there} channels, expected a channel {missing[0]} (they count from 0)"
        elif rate_hz is not None and rate_hz != self._rate_hz:
            fault = f"its rate is {self._rate_hz} Hz, expected {rate_hz:g} Hz"
        elif not self._rate_hz or self._file.getsampwidth() not in WIDTHS:
            bits = 8 * self._file.getsampwidth()
            fault = f"it has {bits} bits a sample at {self._rate_hz} Hz, expected 8, 16, 24 or 32 bits at some rate"
        elif not self._file.getnframes():
            fault = "it is empty, expected samples"
        if fault:
            message = f"cannot use {self._path}: {fault}"
            raise ConfigError(message)

    def read(self) -> Samples | None:
        """Give the next samples.

        Raises:
            SourceLostError: the file cannot be read on.
        """
        with self._lock:
            data = b"" if self._closed else self._next()
        values = decoded(data, self._file.getsampwidth(), self._file.getnchannels())[:, self._taken]
        if not len(values):
            return None
        self._samples += len(values)
        times_s = (self._passed + np.arange(len(values))) / self._rate_hz
        self._passed += len(values)
        stamp = Stamp(self._samples - 1, self._clock.monotonic_ns(), self._clock.wall_ns(), float(times_s[-1]))
        return Samples(values, times_s, stamp)

    def close(self) -> None:
        """Stop, and close the file."""
        with self._lock:
            self._closed = True
            self._file.close()

    def __repr__(self) -> str:
        """Say what it plays."""
        return f"<WavSource {self._path} at {self._rate_hz} Hz: {self._samples} samples>"

    def _next(self) -> bytes:
        try:
            data = self._file.readframes(self._block)
            if not data and self._loop:
                self._file.rewind()
                self._passed += BOUNDARY_STEPS
                data = self._file.readframes(self._block)
        except (OSError, EOFError, wave.Error) as error:
            message = f"cannot read {self._path} on: {error}, expected more samples"
            raise SourceLostError(message, code="wav-damaged") from error
        return data
