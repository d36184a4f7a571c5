from __future__ import annotations

from collections.abc import Mapping

import pytest

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.sources.system import SystemSource, open_source
from fakes.clock import FakeClock

HERE: Mapping[str, float | None] = {"hottest_c": 61.5, "load_1m": 0.5, "gpu_load_percent": None}


class Box:
    """Gives its rounds in order, the last for ever; time passes while somebody waits."""

    def __init__(self, *rounds: Mapping[str, float | None]) -> None:
        self.clock = FakeClock()
        self.rounds = list(rounds)
        self.waits: list[float] = []

    def read(self) -> Mapping[str, float | None]:
        return self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.clock.advance(seconds)
        return False

    def source(self, *columns: str, rate_hz: float = 2.0) -> SystemSource:
        return SystemSource(self.read, self.clock, columns, rate_hz, self.wait)


def test_a_round_of_readings_is_a_sample() -> None:
    source = open_source(read=lambda: HERE, clock=FakeClock(), columns=["load_1m", "hottest_c"])

    samples = source.read()

    assert samples is not None
    assert samples.values.tolist() == [[0.5, 61.5]]
    assert samples.times_s.tolist() == [1000.0]


def test_rounds_come_at_their_rate() -> None:
    box = Box(HERE)
    source = box.source("load_1m")

    times = [samples.stamp.source_s for _ in range(4) if (samples := source.read())]

    assert times == [1000.0, 1000.5, 1001.0, 1001.5]


def test_a_round_that_was_late_is_not_caught_up_with() -> None:
    box = Box(HERE)
    source = box.source("load_1m")
    source.read()
    box.clock.advance(10)
    source.read()
    source.read()
    source.read()

    assert box.waits == [0.0, 0.0, 0.0, 0.5]


def test_a_round_without_one_of_the_readings_is_left_out() -> None:
    source = Box(HERE, HERE | {"load_1m": None}, HERE).source("load_1m")

    indexes = [samples.stamp.index for _ in range(2) if (samples := source.read())]

    assert indexes == [0, 1]
    assert source.drops == {"absent": 1}


def test_a_reading_that_went_away_is_a_lost_source() -> None:
    with pytest.raises(SourceLostError, match="cannot read gpu_load_percent on: nothing in 10 rounds"):
        Box(HERE).source("load_1m", "gpu_load_percent").read()


def test_a_reading_that_no_box_has_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="'heat' of this box, expected one of gpu_load_percent, hottest_c, load_1m"):
        open_source(read=lambda: HERE, clock=FakeClock(), columns=["heat"])


def test_a_reading_that_this_box_lacks_is_named_with_those_that_it_has() -> None:
    with pytest.raises(DeviceError, match="this box has none, expected one of hottest_c, load_1m") as caught:
        open_source(read=lambda: HERE, clock=FakeClock(), columns=["gpu_load_percent"])
    assert caught.value.code == "reading-absent"


def test_a_closed_source_gives_nothing_more() -> None:
    source = open_source(read=lambda: HERE, clock=FakeClock(), columns=["load_1m"])
    source.read()
    assert repr(source) == "<SystemSource load_1m: open, 1 samples, drops {}>"

    source.close()

    assert source.read() is None
    assert ": closed" in repr(source)
