from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.page_hinkley import PageHinkley, rises

DEVIATIONS = st.lists(st.floats(-5, 5), min_size=1, max_size=60)


class RiverPageHinkley:
    """The sums of ``river.drift.PageHinkley`` 0.26.1 (BSD-3-Clause), alpha = 1, as its source and Mouss et al. (2004) define them."""

    def __init__(self, delta: float) -> None:
        self._delta = delta
        self._increase = self._decrease = 0.0
        self._least, self._most = float("inf"), float("-inf")

    def step(self, deviation: float) -> tuple[float, float]:
        """``deviation`` is x minus the running mean there; gives both test values."""
        self._increase += deviation - self._delta
        self._decrease += deviation + self._delta
        self._least = min(self._least, self._increase)
        self._most = max(self._most, self._decrease)
        return self._increase - self._least, self._most - self._decrease


@given(DEVIATIONS, st.floats(0, 1))
def test_both_sums_are_those_of_river_once_it_has_seen_a_normal_value(
    deviations: list[float], tolerance: float
) -> None:
    theirs, ours = RiverPageHinkley(tolerance), PageHinkley()
    theirs.step(0.0)  # river's lowest sum is its first one, ours is 0
    ours = ours.step(0.0, tolerance)
    for deviation in deviations:
        up, down = theirs.step(deviation)
        ours = ours.step(deviation, tolerance)
        assert (ours.up, ours.down) == pytest.approx((up, down), abs=1e-9)


@given(DEVIATIONS, st.floats(0, 1))
def test_river_itself_comes_to_the_same_sums(values: list[float], tolerance: float) -> None:
    drift = pytest.importorskip("river.drift", reason="needs river, which wants Python 3.11")
    theirs = drift.PageHinkley(min_instances=1, delta=tolerance, threshold=1e18, alpha=1.0, mode="both")
    ours, mean = PageHinkley(), 0.0
    for count, value in enumerate((0.0, *values), start=1):
        theirs.update(value)
        mean += (value - mean) / count
        ours = ours.step(value - mean, tolerance)
        rise, fall = theirs._sum_increase - theirs._min_increase, theirs._max_decrease - theirs._sum_decrease
        assert (ours.up, ours.down) == pytest.approx((rise, fall), abs=1e-9)


@given(DEVIATIONS)
def test_whole_streams_rise_as_single_steps_do(deviations: list[float]) -> None:
    sums, stepped = PageHinkley(), []
    for deviation in deviations:
        sums = sums.step(deviation)
        stepped.append(sums.rise(deviation))
    assert rises(np.array([deviations]))[0] == pytest.approx(stepped, abs=1e-9)


def test_what_is_over_is_not_held_against_a_later_value() -> None:
    sums = PageHinkley().step(5.0).step(0.0)
    assert sums.up > 3
    assert sums.rise(0.0) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_a_mean_that_moved_by_one_adds_up_on_its_own_side(sign: int) -> None:
    sums = PageHinkley().step(sign * 1.0).step(sign * 1.0)
    assert (sums.up, sums.down) == ((1.0, 0.0) if sign > 0 else (0.0, 1.0))
