from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgectl.serial import look
from edgectl.serial.look import Read, read
from edgectl.serial.record import write
from edgectl.timing import timing
from edged.assembly.lines import opener
from edged.config.schema import CsvSource
from edged.domain.errors import SourceLostError
from edged.domain.frame import Samples, Stamp
from fakes.clock import FakeClock


class Sensor:
    """Gives blocks of samples, 100 a second, and then is lost, or silent until it is closed."""

    def __init__(self, clock: FakeClock, blocks: int, *, is_lost: bool = False, each: int = 10) -> None:
        self.closed = threading.Event()
        self.drops = {"malformed": 2, "unordered": 0}
        self._is_lost = is_lost
        self._blocks = self._given(clock, blocks, each)

    def read(self) -> Samples | None:
        block = next(self._blocks, None)
        if block is None and self._is_lost:
            raise SourceLostError("cannot read serial port on: unplugged, expected bytes")
        if block is None:
            self.closed.wait(10)
        return block

    def close(self) -> None:
        self.closed.set()

    @staticmethod
    def _given(clock: FakeClock, blocks: int, each: int) -> Iterator[Samples]:
        for at in range(blocks):
            clock.advance(each / 100)
            numbers = np.arange(at * each, (at + 1) * each)
            values = np.stack([numbers, -numbers], axis=1).astype(np.float32)
            yield Samples(values, numbers / 100, Stamp(int(numbers[-1]), clock.mono, clock.wall, 0.0))


def test_a_sensor_is_read_until_the_time_is_over_and_closed() -> None:
    clock = FakeClock()
    sensor = Sensor(clock, 20)
    told = read(sensor, clock, 1.0)
    assert sensor.closed.is_set()
    assert (told.timing.count, told.timing.rate_hz, told.timing.gaps) == (200, pytest.approx(100), 0)
    assert (told.values.shape, len(told.times_s), told.drops, told.lost) == ((200, 2), 200, {"malformed": 2}, "")
    assert told.channels(["a", "b"])[0] == {"name": "a", "min": 0, "max": 199, "mean": 99.5, "std": 57.7343}


def test_a_sensor_that_is_lost_is_told_with_what_came() -> None:
    clock = FakeClock()
    told = read(Sensor(clock, 3, is_lost=True), clock, 5)
    assert (told.timing.count, told.lost) == (30, "cannot read serial port on: unplugged, expected bytes")


def test_what_was_kept_reads_again_sample_for_sample(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.25], [3.1234567, 1e-7], [9.8, 0.0]], np.float32)
    times_s = np.array([7.0, 7.005, 7.5])
    write(tmp_path / "a.csv", Read(timing([7.0]), values, times_s, {}), ("t", "x"))
    source = CsvSource.model_validate(
        {"name": "a", "kind": "csv", "path": tmp_path / "a.csv", "columns": ["t", "x"], "time": "time_s"}
    )
    block = opener(source, FakeClock())().read()
    assert isinstance(block, Samples)
    assert np.array_equal(block.values, values)
    assert np.diff(block.times_s) == pytest.approx([0.005, 0.495])


def test_a_silent_sensor_has_no_figures() -> None:
    clock = FakeClock()
    told = read(Sensor(clock, 0), clock, 0.05)
    assert (told.timing.count, told.timing.rate_hz, told.channels(["a"])) == (0, None, [])


def test_of_very_many_samples_the_newest_are_kept_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "KEPT", 50)
    clock = FakeClock()
    told = read(Sensor(clock, 20, is_lost=True), clock, 5)
    assert told.timing.count == 200
    assert 50 <= len(told.values) <= 60
    assert told.values[-1, 0] == 199
