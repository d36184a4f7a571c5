from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.fleet.backoff import Backoff, Retry


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    backoff = Backoff()

    assert [backoff.ceiling_s(n) for n in range(9)] == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert backoff.ceiling_s(10_000) == 120


@given(st.lists(st.floats(0, 0.999), min_size=1))
def test_a_wait_lies_between_the_least_and_the_ceiling(draws: list[float]) -> None:
    backoff = Backoff()
    values = iter(draws)
    retry = Retry(backoff, lambda: next(values))

    for n, _ in enumerate(draws):
        assert backoff.least_s <= retry.after(0.0) <= max(backoff.least_s, backoff.ceiling_s(n))


def test_only_a_stable_connection_starts_again() -> None:
    retry = Retry(Backoff(), lambda: 0.5)
    waits = [retry.after(0.0), retry.after(59.0), retry.after(60.0)]

    assert waits == [0.5, 1.0, 0.5]


def test_what_only_a_person_can_mend_takes_the_slow_lane() -> None:
    retry = Retry(Backoff(), lambda: 0.5)

    assert retry.after(0.0, slow=True) == 225.0
    assert retry.attempt == 0


def test_a_shrinking_ceiling_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot back off"):
        Backoff(base_s=10, cap_s=1)
