from __future__ import annotations

import pytest

from edged.fleet.round_trip import FIRST_S, LEAST_S, MOST_S, RoundTrip


def test_a_quick_line_waits_no_less_than_the_least() -> None:
    trip = RoundTrip()
    for _ in range(20):
        trip.answered(0.01)
    assert trip.wait_s == LEAST_S


def test_a_steady_line_is_waited_for_a_little_longer_than_it_takes() -> None:
    trip = RoundTrip()
    for _ in range(50):
        trip.answered(10.0)
    assert trip.wait_s == pytest.approx(10.0, rel=0.01)


def test_a_fickle_line_is_waited_for_longer_than_a_steady_one() -> None:
    trip = RoundTrip()
    for _ in range(25):
        trip.answered(5.0)
        trip.answered(15.0)
    assert trip.wait_s > 20.0


def test_silence_doubles_the_wait_up_to_the_most() -> None:
    trip = RoundTrip()
    trip.late()
    assert trip.wait_s == 2 * FIRST_S
    for _ in range(20):
        trip.late()
    assert trip.wait_s == MOST_S
