from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from edged.pipeline.stability import SMOOTHING, autocorrelation_time, cuts_of, population_stability
from fakes.streams import leaning


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=2, max_size=15).filter(
        lambda p: sum(a for a, _ in p) > 0
    )
)
def test_the_index_is_what_scipy_makes_of_both_divergences(pairs: list[tuple[int, int]]) -> None:
    counts, weights = np.array(pairs).T
    shares = weights / weights.sum()
    present = (counts + SMOOTHING) / (counts + SMOOTHING).sum()
    usual = shares * counts.sum() + SMOOTHING
    usual /= usual.sum()

    index = population_stability(counts, shares)

    assert index == pytest.approx(entropy(present, usual) + entropy(usual, present), abs=1e-9)
    assert index >= 0


def test_a_window_like_its_reference_has_index_0_and_any_other_more() -> None:
    shares = np.array([0.25, 0.5, 0.25])
    indices = population_stability(np.array([[25, 50, 25], [24, 51, 25], [0, 0, 100]]), shares)
    assert indices[0] == 0
    assert 0 < indices[1] < 0.01
    assert 1 < indices[2] < np.inf


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200), st.floats(0.01, 100))
def test_cuts_grow_by_enough_and_leave_room_outside(values: list[float], apart: float) -> None:
    cuts = cuts_of(np.array(values), apart)
    assert (np.diff(cuts) > 0).all()
    assert cuts[0] < min(values)
    assert cuts[-1] > max(values)
    assert len(cuts) <= 12


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_autocorrelation_time_of_a_leaning_stream_is_the_known_one(rho: float) -> None:
    known = (1 + rho) / (1 - rho)
    measured = np.mean([autocorrelation_time(leaning(20_000, rho, np.random.default_rng(seed))) for seed in range(4)])
    assert measured == pytest.approx(known, rel=0.15)


def test_numbers_that_do_not_vary_and_single_ones_count_as_independent() -> None:
    assert autocorrelation_time(np.full(50, 3.0)) == 1
    assert autocorrelation_time(np.array([3.0])) == 1


def test_a_stream_that_alternates_counts_as_independent() -> None:
    assert autocorrelation_time(np.tile([1.0, -1.0], 50)) == 1
