from __future__ import annotations

import pytest

from edged.domain.result import Detection
from edged.pipeline.paths import FORGET_S, Crossing, Direction, Dwell

DOWN = ((0.5, 0.2), (0.5, 0.8))


def at(x: float, y: float = 0.5, track: int | None = 1) -> Detection:
    return Detection("person", 0.9, (x - 0.1, y - 0.1, x + 0.1, y + 0.1), track)


def crossed(crossing: Crossing, *points: tuple[float, float], step_s: float = 0.1) -> list[bool]:
    return [bool(crossing.step([at(*point)], now * step_s)) for now, point in enumerate(points)]


@pytest.mark.parametrize(
    ("direction", "leftwards", "rightwards"),
    # Who looks down along the line has the picture's left on the right hand.
    [("both", True, True), ("right", True, False), ("left", False, True)],
)
def test_a_crossing_counts_once_and_in_its_direction(direction: Direction, leftwards: bool, rightwards: bool) -> None:
    assert crossed(Crossing(DOWN, direction), (0.7, 0.5), (0.45, 0.5), (0.2, 0.5)) == [False, leftwards, False]
    assert crossed(Crossing(DOWN, direction), (0.2, 0.5), (0.55, 0.5), (0.7, 0.5)) == [False, rightwards, False]


def test_going_past_the_lines_end_is_no_crossing() -> None:
    assert crossed(Crossing(DOWN), (0.3, 0.9), (0.7, 0.9)) == [False, False]


def test_standing_on_the_line_is_counted_once() -> None:
    assert crossed(Crossing(DOWN), (0.3, 0.5), (0.5, 0.5), (0.5, 0.5), (0.7, 0.5)).count(True) == 1


def test_two_objects_are_told_apart() -> None:
    crossing = Crossing(DOWN)
    crossing.step([at(0.3, track=1), at(0.7, track=2)], 0.0)
    assert crossing.step([at(0.35, track=1), at(0.75, track=2)], 0.1) == []
    assert [item.track for item in crossing.step([at(0.6, track=1), at(0.8, track=2)], 0.2)] == [1]


def test_what_has_no_number_neither_crosses_nor_dwells() -> None:
    crossing, dwell = Crossing(DOWN), Dwell(0.1)
    for now, x in enumerate((0.3, 0.7)):
        assert crossing.step([at(x, track=None)], float(now)) == []
        assert dwell.step([at(x, track=None)], float(now)) == []


@pytest.mark.parametrize("later_s", [FORGET_S + 0.1, -1.0])
def test_where_an_object_was_long_ago_or_before_time_began_anew_does_not_matter(later_s: float) -> None:
    crossing = Crossing(DOWN)
    crossing.step([at(0.3)], 0.0)
    crossing.step([], later_s)
    assert crossing.step([at(0.7)], later_s) == []


def test_who_has_stayed_long_enough_is_told_until_it_leaves() -> None:
    dwell = Dwell(1.0, gap_s=0.5)
    told = [
        bool(dwell.step([at(0.5)] if here else [], now_s)) for now_s, here in [(0.0, 1), (0.5, 1), (1.0, 1), (1.2, 0)]
    ]
    assert told == [False, False, True, False]


@pytest.mark.parametrize(("absent_s", "stays"), [(0.5, True), (0.6, False)])
def test_a_short_absence_does_not_end_a_stay(absent_s: float, stays: bool) -> None:
    dwell = Dwell(1.0, gap_s=0.5)
    dwell.step([at(0.5)], 0.0)
    dwell.step([at(0.5)], 0.5)
    dwell.step([], 0.5 + absent_s / 2)
    dwell.step([at(0.5)], 0.5 + absent_s)
    assert bool(dwell.step([at(0.5)], 1.2)) is stays


def test_a_stay_begins_anew_with_the_sources_time() -> None:
    dwell = Dwell(1.0)
    dwell.step([at(0.5)], 5.0)
    assert dwell.step([at(0.5)], 0.0) == []
    assert dwell.step([at(0.5)], 0.5) == []
