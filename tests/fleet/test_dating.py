from __future__ import annotations

import pytest

from edged.fleet.dating import Dating
from edged.fleet.schemas import AlertDocument
from edged.fleet.topics import Stamper, rfc3339
from fakes.clock import SECOND_NS, FakeClock

RIGHT = 1_800_000_000 * SECOND_NS


def booted_in_1970() -> FakeClock:
    return FakeClock(mono=20 * SECOND_NS, wall=30 * SECOND_NS, is_synced=False)


def test_the_first_synchronisation_tells_the_offset_and_the_boots_own_moment_once() -> None:
    clock = booted_in_1970()
    dating = Dating(clock)
    clock.advance(60)
    assert dating.look() is None
    clock.wall, clock.is_synced = RIGHT, True

    told = dating.look()

    assert told is not None
    assert told["offset_ms"] == (RIGHT - 90 * SECOND_NS) // 1_000_000
    assert told["boot_at"] == rfc3339(RIGHT - 80 * SECOND_NS)
    assert dating.look() is None
    AlertDocument.model_validate({**told, **Stamper("boot-1", clock).now(), "device": "press-07", "seq": 1})


def test_what_was_captured_before_is_dated_by_what_is_told() -> None:
    clock = booted_in_1970()
    stamper, dating = Stamper("boot-1", clock), Dating(clock)
    captured = stamper.now()
    assert (captured["clock"], captured["at"]) == ("unsynced", "1970-01-01T00:00:30.000Z")
    clock.advance(100)
    clock.wall, clock.is_synced = RIGHT, True

    told = dating.look()

    assert told is not None
    boot_ms = RIGHT // 1_000_000 - 120_000
    assert told["boot_at"] == rfc3339(boot_ms * 1_000_000)
    assert rfc3339((boot_ms + captured["mono_ms"]) * 1_000_000) == rfc3339(RIGHT - 100 * SECOND_NS)
    assert stamper.now()["clock"] == "synced"


def test_a_clock_that_is_right_from_the_start_needs_no_word() -> None:
    clock = FakeClock()
    dating = Dating(clock)
    clock.advance(3600)
    assert dating.look() is None
    assert not dating.is_open


def test_what_an_earlier_run_left_open_is_told() -> None:
    told = Dating(FakeClock(), was_unsynced=True).look()
    assert told is not None
    assert told["offset_ms"] == 0


@pytest.mark.parametrize("seconds", [-7200.0, -1.0, 0.6, 86_400.0])
def test_a_step_of_a_right_clock_is_told(seconds: float) -> None:
    clock = FakeClock()
    dating = Dating(clock)
    clock.step_wall(seconds)
    told = dating.look()
    assert told is not None
    assert told["offset_ms"] == seconds * 1000
    assert "was set" in told["message"]
    assert dating.look() is None


def test_slewing_is_no_step() -> None:
    clock = FakeClock()
    dating = Dating(clock)
    clock.step_wall(0.4)
    assert dating.look() is None


def test_a_synchronisation_that_was_lost_is_told_again_when_it_is_back() -> None:
    clock = FakeClock()
    dating = Dating(clock)
    clock.is_synced = False
    assert dating.look() is None
    assert dating.is_open
    clock.is_synced = True
    assert dating.look() is not None
