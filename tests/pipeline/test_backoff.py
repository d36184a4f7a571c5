"""Delays between tries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.backoff import Backoff


def test_delays_double_up_to_the_limit() -> None:
    backoff = Backoff(jitter=lambda: 1.0)

    assert [backoff.next_s() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_jitter_takes_up_to_half_of_a_delay() -> None:
    backoff = Backoff(jitter=lambda: 0.0)

    assert [backoff.next_s() for _ in range(4)] == [0.5, 0.5, 1, 2]


def test_after_a_reset_the_shortest_delay_comes_first() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    backoff.next_s()
    backoff.next_s()

    backoff.reset()

    assert backoff.next_s() == 0.5


@given(st.integers(0, 5000), st.floats(0, 1))
def test_every_delay_is_within_its_bounds(failures: int, jitter: float) -> None:
    backoff = Backoff(jitter=lambda: jitter)
    backoff.failures = failures

    assert 0.5 <= backoff.next_s() <= 30
