from __future__ import annotations

import pytest

from edgectl.timing import timing


def test_even_arrivals_have_no_jitter_and_no_gap() -> None:
    told = timing([at / 25 for at in range(51)])
    assert (told.count, told.rate_hz, told.gaps, told.longest_gap_ms) == (51, pytest.approx(25), 0, None)
    assert told.jitter_ms == pytest.approx(0, abs=1e-6)


def test_jitter_is_how_far_from_even_spacing_most_come() -> None:
    told = timing([at / 25 + (0.004 if at % 2 else 0.0) for at in range(101)])
    assert told.jitter_ms == pytest.approx(4, abs=0.1)


def test_a_gap_is_told_as_one_and_does_not_count_as_jitter() -> None:
    told = timing([at / 25 + (1.0 if at > 50 else 0.0) for at in range(101)])
    assert (told.gaps, told.longest_gap_ms) == (1, pytest.approx(1040))
    assert told.jitter_ms == pytest.approx(0, abs=1e-6)
    assert told.rate_hz == pytest.approx(20)


def test_samples_that_come_in_bursts_are_weighed_by_how_many_came() -> None:
    told = timing([0.0, 0.016, 0.032, 0.064], [1, 16, 16, 32])
    assert (told.count, told.rate_hz, told.jitter_ms) == (65, pytest.approx(1000), pytest.approx(0, abs=1e-6))


@pytest.mark.parametrize("times_s", [[], [3.0], [3.0, 3.0]])
def test_what_has_no_length_has_no_rate(times_s: list[float]) -> None:
    told = timing(times_s)
    assert (told.count, told.rate_hz, told.jitter_ms) == (len(times_s), None, None)
