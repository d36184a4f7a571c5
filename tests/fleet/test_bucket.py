from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.fleet.bucket import Bucket

S = 1_000_000_000


def test_it_gives_what_it_holds_and_then_what_comes() -> None:
    bucket = Bucket(2.0, 0)
    assert [bucket.take(1.0, 0, 1.0, 2.0) for _ in range(3)] == [True, True, False]
    assert bucket.take(1.0, S, 1.0, 2.0)
    assert not bucket.take(1.0, S, 1.0, 2.0)


def test_what_is_larger_than_the_bucket_passes_and_the_debt_is_paid_first() -> None:
    bucket = Bucket(1.0, 0)
    assert bucket.take(10.0, 0, 1.0, 2.0)
    assert not bucket.take(1.0, S, 1.0, 2.0)
    assert bucket.level == -1.0, "a debt is bounded by what the bucket holds"
    assert bucket.take(1.0, 3 * S, 1.0, 2.0)


def test_less_urgent_ones_leave_a_rest() -> None:
    bucket = Bucket(2.0, 0)
    assert bucket.take(1.0, 0, 0.0, 2.0, above=1.0)
    assert not bucket.take(1.0, 0, 0.0, 2.0, above=1.0)
    assert bucket.take(1.0, 0, 0.0, 2.0)


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    bucket = Bucket(1.0, 5 * S)
    bucket.refill(3 * S, 1.0, 10.0)
    assert bucket.level == 1.0


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 3)), max_size=50))
def test_over_any_time_no_more_than_level_rate_and_one_overdraft_pass(script: list[tuple[float, float]]) -> None:
    bucket, now, passed, largest = Bucket(2.0, 0), 0, 0.0, 0.0
    for wait_s, amount in script:
        now += int(wait_s * S)
        largest = max(largest, amount)
        if bucket.take(amount, now, 1.0, 4.0):
            passed += amount
    assert passed <= 2.0 + now / S + largest + 1e-6
