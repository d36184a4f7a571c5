from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import ConfigError
from edged.pipeline.window import Windower
from edged.sources.grid import SET_BACK, Grid
from fakes.source import samples


def pushed(grid: Grid, *pairs: tuple[float, float]) -> list[tuple[float, float]]:
    """Push samples of one channel one by one; give what they settle and, at the end, what waited."""
    found: list[tuple[float, float]] = []
    for at_s, value in pairs:
        found += listed(grid.push(np.array([at_s]), np.array([[value]], np.float32)))
    return found


def listed(block: tuple[np.ndarray, np.ndarray] | None) -> list[tuple[float, float]]:
    return [] if block is None else list(zip(block[0].tolist(), block[1][:, 0].tolist(), strict=True))


def test_an_instant_has_the_mean_of_the_samples_of_the_step_that_ends_there() -> None:
    assert pushed(Grid(10.0), (91, 1), (95, 2), (100, 6), (101, 4), (110, 8)) == [(100, 3), (110, 6)]


def test_a_sample_on_an_instant_settles_it_at_once_whatever_its_last_bits_are() -> None:
    found = pushed(Grid(0.1), (0.1 * 3, 1), (0.1 * 6, 2))
    assert [at for at, _ in found] == pytest.approx([0.3, 0.6])


def test_an_instant_waits_for_samples_that_are_out_of_order() -> None:
    grid = Grid(10.0, late_s=20.0)
    assert pushed(grid, (100, 1), (120, 3), (110, 2)) == [(100, 1)]
    assert pushed(grid, (108, 4), (130, 5)) == [(110, 3)]
    assert listed(grid.finish()) == [(120, 3), (130, 5)]
    assert grid.late == 0


def test_a_sample_that_comes_too_late_is_counted_and_changes_nothing() -> None:
    grid = Grid(10.0)
    assert pushed(grid, (100, 1), (110, 2), (95, 9), (110, 9), (120, 3)) == [(100, 1), (110, 2), (120, 3)]
    assert grid.late == 2


def test_a_short_time_without_samples_is_bridged_by_a_straight_line() -> None:
    grid = Grid(10.0, bridge_s=20.0)
    assert pushed(grid, (100, 1), (130, 4)) == [(100, 1), (110, 2), (120, 3), (130, 4)]
    assert grid.bridged == 2


def test_a_longer_time_without_samples_is_left_out_so_that_no_window_spans_it() -> None:
    grid, windower = Grid(10.0, bridge_s=20.0), Windower(4, 1, 1)
    times = [100, 110, 120, 130, 170, 180, 190, 200]
    found = pushed(grid, *((at, at / 10) for at in times))
    assert [at for at, _ in found] == times
    frames = windower.push(samples([[value] for _, value in found], [at for at, _ in found]))
    assert [frame.stamp.source_s for frame in frames] == [130, 200]
    assert (grid.bridged, windower.gaps) == (0, 1)


def test_a_clock_that_was_set_back_is_followed() -> None:
    grid = Grid(10.0)
    pushed(grid, (1000, 1))
    found = pushed(grid, *((10.0 * i, 2) for i in range(1, SET_BACK + 3)))
    assert [at for at, _ in found] == [10.0 * SET_BACK, 10.0 * (SET_BACK + 1), 10.0 * (SET_BACK + 2)]
    assert grid.late == SET_BACK - 1


def test_a_stamp_far_ahead_costs_a_few_samples_and_not_all_that_follow() -> None:
    found = pushed(Grid(10.0, bridge_s=100.0), (10, 1), (1e12, 7), *((10.0 * i, 2) for i in range(2, 100)))
    assert len(found) == 100 - SET_BACK + 1
    assert found[-1] == (990, 2)


def test_values_that_are_no_numbers_stay_in_their_instant() -> None:
    found = pushed(Grid(10.0, bridge_s=20.0), (100, np.inf), (120, 1), (130, 2))
    assert [at for at, value in found if np.isfinite(value)] == [120, 130]


@pytest.mark.parametrize("wrong", [(0.0, 0.0, 0.0), (1.0, -1.0, 0.0), (1.0, 10_001.0, 0.0), (1.0, 0.0, 10_001.0)])
def test_a_grid_that_cannot_be_is_refused(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="cannot lay samples on a grid of step_s"):
        Grid(*wrong)


def test_it_says_what_it_did() -> None:
    grid = Grid(60.0, late_s=60.0)
    pushed(grid, (60, 1), (90, 2))
    assert repr(grid) == "<Grid every 60 s: 2 instants wait, 0 bridged, 0 samples late>"


@given(st.permutations(list(range(40))), st.integers(1, 40))
def test_neither_order_nor_blocks_change_what_comes_out_while_nothing_is_too_late(order: list[int], size: int) -> None:
    times = np.array(order) * 4.0
    values = (times * 2)[:, None].astype(np.float32)
    grid, found = Grid(10.0, late_s=400.0), []
    for at in range(0, len(times), size):
        found += listed(grid.push(times[at : at + size], values[at : at + size]))
    found += listed(grid.finish())
    straight = Grid(10.0, late_s=400.0)
    assert straight.push(np.sort(times), np.sort(values, axis=0)) is None
    assert found == listed(straight.finish())
