from __future__ import annotations

import time

import pytest

from edged.update.window import UNSYNCED, is_open, waits_for
from fakes.clock import SECOND_NS, FakeClock

NIGHT = "22:30-05:00"


@pytest.mark.parametrize(
    ("window", "at", "open_"),
    [
        ("01:00-05:00", "01:00", True),
        ("01:00-05:00", "04:59", True),
        ("01:00-05:00", "05:00", False),
        ("01:00-05:00", "00:59", False),
        (NIGHT, "22:30", True),
        (NIGHT, "00:00", True),
        (NIGHT, "04:59", True),
        (NIGHT, "12:00", False),
        ("03:00-03:00", "17:00", True),
    ],
)
def test_a_window_is_open_from_its_beginning_to_before_its_end(window: str, at: str, open_: bool) -> None:
    hours, minutes = at.split(":")

    assert is_open(window, int(hours) * 60 + int(minutes)) is open_


def test_without_a_window_it_may_be_any_time() -> None:
    assert waits_for(None, FakeClock()) is None


def test_by_a_clock_that_nobody_set_nothing_goes_live() -> None:
    assert waits_for(None, FakeClock(is_synced=False)) == UNSYNCED


def test_the_window_is_of_local_time() -> None:
    noon = time.mktime((2026, 11, 21, 12, 0, 0, 0, 0, -1))
    clock = FakeClock(wall=int(noon) * SECOND_NS)

    assert waits_for("11:00-13:00", clock) is None
    assert waits_for("13:00-14:00", clock) == "it waits for its window 13:00-14:00, expected local time in it"
