from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edged.domain.frame import Samples, Stamp
from edged.pipeline.window import Windower
from edged.sources.dating import ArrivalDating, ClockDating, Dating, RateDating, Times


def numbers(first: int, count: int) -> Times:
    return np.arange(first, first + count, dtype=np.float64)


def gaps(times: Times) -> int:
    windower = Windower(4, 4, 1)
    stamp = Stamp(0, 0, 0, 0.0)
    windower.push(Samples(np.zeros((len(times), 1), np.float32), times, stamp))
    return windower.gaps


def test_jitter_of_arrival_makes_no_gap() -> None:
    dating = RateDating(200.0)
    random = np.random.default_rng(1)
    blocks = [dating.date(numbers(i * 8, 8), 100 + i * 0.04 + random.uniform(0, 0.03)) for i in range(500)]

    times = np.concatenate(blocks)

    assert gaps(times) == 0
    assert np.allclose(np.diff(times), 0.005, rtol=0.01)


def test_a_burst_behind_a_pause_makes_no_gap_when_nothing_is_missing() -> None:
    dating = RateDating(200.0)

    times = np.concatenate([dating.date(numbers(0, 1), 10.0), dating.date(numbers(1, 400), 12.0)])

    assert gaps(times) == 0
    assert times[-1] == pytest.approx(12.0)


def test_a_sensor_whose_rate_is_not_quite_what_was_configured_stays_near_the_clock() -> None:
    dating = RateDating(200.0)

    times = np.concatenate([dating.date(numbers(i, 1), 10 + i / 190) for i in range(20_000)])

    assert abs(times[-1] - (10 + 19_999 / 190)) < 0.25
    assert gaps(times) == 0


def test_samples_that_never_came_are_a_gap_and_the_time_goes_on_from_the_arrival() -> None:
    dating = RateDating(200.0)

    times = np.concatenate([dating.date(numbers(0, 20), 10.0), dating.date(numbers(20, 20), 13.0)])

    assert gaps(times) == 1
    assert times[-1] == pytest.approx(13.0)


def test_a_known_number_of_lost_samples_leaves_room_for_them() -> None:
    dating = RateDating(10.0)

    times = dating.date(np.array([0.0, 1, 4, 5]), 10.0)

    assert np.diff(times) == pytest.approx([0.1, 0.3, 0.1])


def test_a_sensors_own_clock_spaces_its_samples() -> None:
    dating = ClockDating()
    shown = np.cumsum(np.full(50, 0.02))

    times = np.concatenate([dating.date(shown[:10], 10.0), dating.date(shown[10:], 10.9)])

    assert np.diff(times) == pytest.approx(0.02, rel=0.002)
    assert times[9] == 10.0


def test_a_sensors_clock_that_drifts_is_followed() -> None:
    dating = ClockDating()

    for i in range(3000):
        times = dating.date(np.array([i * 1.0]), 10 + i * 1.0005)

    assert abs(times[-1] - (10 + 2999 * 1.0005)) < 0.02


def test_a_counter_that_begins_anew_goes_on() -> None:
    dating = ClockDating(wraps_s=65.536)

    times = np.concatenate([dating.date(np.array([65.5, 65.52]), 10.0), dating.date(np.array([0.004, 0.024]), 10.04)])

    assert np.diff(times) == pytest.approx(0.02, rel=0.01)


def test_a_sensor_that_starts_anew_is_a_gap_and_dated_at_arrival() -> None:
    dating = ClockDating()
    before = dating.date(np.array([70.0, 70.1, 70.2]), 10.0)

    after = dating.date(np.array([0.3, 0.4]), 13.0)

    assert after == pytest.approx([12.9, 13.0])
    assert gaps(np.concatenate([before, after])) == 1


def test_a_sensor_that_starts_anew_within_a_read_is_a_gap() -> None:
    dating = ClockDating()

    times = dating.date(np.array([70.0, 70.1, 0.1, 0.2]), 10.0)

    assert np.all(np.diff(times) > 0)
    assert gaps(times) == 1


def test_a_sensors_clock_that_is_set_ahead_does_not_take_the_time_along() -> None:
    dating = ClockDating()
    dating.date(np.array([1.0, 1.1]), 10.0)

    times = dating.date(np.array([1.2, 9000.0, 9000.1]), 10.3)

    assert times[-1] == pytest.approx(10.9, abs=0.4)
    assert np.all(np.diff(times) > 0)


def test_a_sensors_clock_that_stood_still_for_long_is_a_gap() -> None:
    dating = ClockDating()
    dating.date(np.array([1.0, 1.1]), 10.0)

    assert dating.date(np.array([1.2]), 20.0) == pytest.approx([20.0])


def test_a_sensors_clock_that_moves_by_less_than_ours_can_tell_is_no_clock_that_stands_still() -> None:
    dating = ClockDating()
    dating.date(np.array([1.0, 1.1]), 1e6)

    times = dating.date(np.array([1.1 + 1e-15, 1.2]), 1e6 + 0.1)

    assert 1e6 < times[0] < times[1]


def test_a_counter_that_was_beyond_its_end_and_begins_anew_at_the_same_place_goes_on() -> None:
    dating = ClockDating(wraps_s=65.536)
    times = np.concatenate([dating.date(np.array([65.4, 65.537]), 10.0), dating.date(np.array([0.001]), 10.1)])

    assert np.all(np.diff(times) > 0)


def test_a_first_block_without_a_step_is_dated_at_arrival() -> None:
    assert ClockDating().date(np.array([5.0]), 10.0) == pytest.approx([10.0])


def test_a_restart_before_any_step_is_known_leaves_a_quarter_of_a_second() -> None:
    dating = ClockDating()
    dating.date(np.array([5.0]), 10.0)

    assert dating.date(np.array([1.0]), 10.01) == pytest.approx([10.25])


def test_samples_without_rate_or_time_are_spread_over_the_time_since_the_last() -> None:
    dating = ArrivalDating()
    dating.date(numbers(0, 1), 10.0)

    assert dating.date(numbers(1, 4), 12.0) == pytest.approx([10.5, 11.0, 11.5, 12.0])


DATINGS = [lambda: RateDating(100.0), ClockDating, lambda: ClockDating(65.536), ArrivalDating]


@pytest.mark.parametrize("make", DATINGS)
@example([([1.0], 0.0, False), ([1e-4], 0.0, True), ([1.0000000000000002e-4], 0.0, True)])
@given(
    blocks=st.lists(
        st.tuples(st.lists(st.floats(0.0001, 50), min_size=1, max_size=5), st.floats(0, 30), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_a_sensor_says_its_time_only_grows(
    make: type[ClockDating], blocks: list[tuple[list[float], float, bool]]
) -> None:
    dating: Dating = make()
    now_s = shown_s = 1000.0
    times: list[float] = []
    is_clock = isinstance(dating, ClockDating)
    for steps, waited_s, starts_anew in blocks:
        now_s += waited_s
        shown = (0.0 if starts_anew and is_clock else shown_s) + np.cumsum(steps)
        if shown[0] == shown_s:  # a time that stands still is left out before
            continue
        shown_s = float(shown[-1])
        times += list(dating.date(shown, now_s))

    assert all(a < b for a, b in pairwise(times))
    assert "\n" not in repr(dating)
