from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.tensor import Array
from edged.pipeline.bootstrap import Draws, Limits, blocks, has_alarm, limits
from edged.pipeline.stability import cuts_of, population_stability
from fakes.streams import leaning

WINDOW, BLOCK, REFERENCE = 50, 10, 400


def drawn_from(values: Array, stride: int = 1) -> tuple[Draws, Array]:
    cuts = cuts_of(values, 0.05)
    return blocks(np.searchsorted(cuts, values), values, len(cuts) + 1, stride, BLOCK), cuts


def found(values: Array, chance: float = 0.03) -> Limits:
    return limits(drawn_from(values)[0], WINDOW, REFERENCE, 100, chance, np.random.default_rng(1))


def test_a_block_holds_its_samples_as_far_apart_as_they_are_independent() -> None:
    draws = blocks(np.array([0, 1, 2, 0, 1, 2]), np.arange(6.0), 3, stride=3, block=2)
    assert draws.counts.tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    assert draws.sums.tolist() == [3, 5, 7]


def test_the_limit_lies_far_above_the_thresholds_of_folklore_where_windows_are_short() -> None:
    values = np.random.default_rng(2).normal(size=4000)
    assert 0.25 < found(values).stability < 1.0


def test_correlation_raises_the_limits() -> None:
    plain, leans = (found(leaning(4000, rho, np.random.default_rng(3))) for rho in (0.0, 0.8))
    assert leans.stability > plain.stability
    assert leans.rise > plain.rise
    assert leans.power < plain.power


def test_a_shift_of_one_deviation_is_found_and_said_to_be() -> None:
    values = np.random.default_rng(2).normal(size=4000)
    assert found(values).power > 0.95


def test_the_fewer_false_alarms_are_allowed_the_higher_is_the_limit() -> None:
    values = np.random.default_rng(2).normal(size=4000)
    assert found(values, 0.9).stability < found(values, 0.005).stability


def test_where_no_alarm_is_little_enough_nothing_that_was_drawn_votes() -> None:
    values = np.random.default_rng(2).normal(size=4000)
    assert found(values, -1.0).stability >= found(values, 0.0).stability


def test_the_limits_hold_on_windows_that_were_not_drawn() -> None:
    made = np.random.default_rng(7)
    values = made.normal(size=2000)
    limit = found(values).stability
    cuts = drawn_from(values)[1]
    shares = np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1) / len(values)
    fresh = np.array(
        [np.bincount(np.searchsorted(cuts, made.normal(size=WINDOW)), minlength=len(shares)) for _ in range(3000)]
    )
    assert (population_stability(fresh, shares) > limit).mean() < 0.03


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_an_alarm_is_two_votes_within_three_windows(votes: list[bool]) -> None:
    expected = any(sum(votes[max(0, place - 2) : place + 1]) >= 2 for place in range(len(votes)))
    assert has_alarm(np.array([votes]))[0] == expected


def test_the_same_reference_gives_the_same_limits() -> None:
    values = np.random.default_rng(2).normal(size=1000)
    assert found(values) == found(values)


@pytest.mark.parametrize("windows", [1, 3])
def test_a_month_of_few_windows_is_enough(windows: int) -> None:
    draws = drawn_from(np.random.default_rng(2).normal(size=1000))[0]
    assert 0 <= limits(draws, WINDOW, REFERENCE, windows, 0.03, np.random.default_rng(1)).power <= 1
