"""Pictures are dated from how they arrive: what piled up is old, what had to be waited for is fresh."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edged.sources.arrivals import Arrivals, SourceTime, Spacing

STEP_S = 0.04


class Stream:
    """A camera of 25 pictures a second and a reader, on one clock."""

    def __init__(self, rate_error: float = 0.0, start_s: float = 7000.0) -> None:
        self.arrivals = Arrivals()
        self.now_s = 100.0
        self.shown_s = start_s
        self.step_s = STEP_S * (1 - rate_error)

    def live(self, count: int) -> list[float | None]:
        """Wait for each picture; give the ages."""
        ages = []
        for _ in range(count):
            self.now_s += STEP_S
            ages.append(self._age(waited_s=STEP_S * 0.8))
        return ages

    def piled_up(self, count: int) -> list[float | None]:
        """Take pictures that are all there; give the ages."""
        ages = []
        for _ in range(count):
            self.now_s += 0.001
            ages.append(self._age(waited_s=0.0001))
        return ages

    def _age(self, waited_s: float) -> float | None:
        self.shown_s += self.step_s
        captured_s = self.arrivals.captured_s(self.shown_s, self.now_s, waited_s)
        return None if captured_s is None else self.now_s - captured_s


def known(ages: list[float | None]) -> list[float]:
    return [age for age in ages if age is not None]


def test_what_lies_in_wait_when_a_stream_is_opened_is_not_dated() -> None:
    stream = Stream()

    assert stream.piled_up(8) == [None] * 8
    assert stream.live(3)[0] is None


def test_a_live_stream_is_fresh() -> None:
    assert max(known(Stream().live(500))) < 0.001


def test_after_a_pause_the_backlog_is_as_old_as_it_is() -> None:
    stream = Stream()
    stream.live(10)
    stream.now_s += 3.0

    ages = known(stream.piled_up(75))

    assert ages[0] == pytest.approx(2.96, abs=0.01)
    assert ages[-1] == pytest.approx(3.0 - 75 * (STEP_S - 0.001), abs=0.02)
    assert all(later < earlier for earlier, later in pairwise(ages))
    assert max(known(stream.live(20))) < 0.1


def test_a_gap_in_the_network_is_a_backlog_too_although_its_first_picture_was_waited_for() -> None:
    stream = Stream()
    stream.live(10)
    stream.now_s += 2.0
    first = stream.arrivals.captured_s(stream.shown_s + STEP_S, stream.now_s, 2.0)
    stream.shown_s += STEP_S

    assert first is not None
    assert stream.now_s - first > 1.9
    assert known(stream.piled_up(40))[0] > 1.8


def test_a_camera_that_stood_still_is_fresh_from_the_second_picture_on() -> None:
    stream = Stream()
    stream.live(10)
    stream.now_s += 2.0

    assert max(known(stream.live(20))[2:]) < 0.01


@pytest.mark.parametrize("rate_error", [-0.5, -0.01, 0.0001, 0.01, 0.2, 0.5])
def test_a_camera_whose_clock_runs_wrong_is_still_fresh(rate_error: float) -> None:
    assert max(known(Stream(rate_error).live(3000))) < 0.05


def test_a_clock_that_was_set_anew_begins_anew() -> None:
    stream = Stream()
    stream.live(10)
    stream.shown_s = 3.0

    ages = stream.live(10)

    assert ages[0] is None
    assert max(known(ages)) < 0.01


def test_a_box_that_is_too_slow_to_ever_wait_sees_after_two_seconds() -> None:
    stream = Stream()

    ages = [age for _ in range(60) for age in stream_step(stream)]

    assert ages[0] is None
    assert ages[-1] is not None


def stream_step(stream: Stream) -> list[float | None]:
    stream.now_s += STEP_S
    return stream.piled_up(1)


def test_without_times_of_their_own_pictures_are_held_back_only_while_they_lie_in_wait() -> None:
    arrivals = Arrivals()

    dated = [arrivals.captured_s(None, 1.0 + 0.001 * number, 0.0) for number in range(5)]
    dated += [arrivals.captured_s(None, 2.0 + 0.04 * number, 0.03) for number in range(3)]

    assert dated[:6] == [None] * 6
    assert dated[7] == pytest.approx(2.08)


def test_evenly_spaced_times_follow_the_pace_of_what_was_waited_for() -> None:
    spacing = Spacing()
    for number in range(30):
        spacing.shown_s(1, number * 0.1, 0.09)
    before_s = spacing.shown_s(1, 3.0, 0.09)

    assert spacing.shown_s(10, 6.0, 0.0) - before_s == pytest.approx(1.0, abs=0.05)


def test_source_time_keeps_the_cameras_spacing_and_the_boxs_place() -> None:
    time = SourceTime()

    at_s = [time.at(50.0 + number * 0.1, 1000.0 + number * 0.1 + (0.02 if number % 2 else 0.0)) for number in range(50)]

    steps = [b - a for a, b in pairwise(at_s)]
    assert steps == pytest.approx([0.1] * 49, abs=0.001)
    assert at_s[-1] == pytest.approx(1004.9, abs=0.03)


def test_source_time_follows_a_camera_that_stood_still_and_never_goes_back() -> None:
    time = SourceTime()
    time.at(50.0, 1000.0)

    assert time.at(50.04, 1010.0) == pytest.approx(1010.0)
    assert time.at(1.0, 1000.0) == pytest.approx(1010.001)
    assert time.at(None, 1011.0) == pytest.approx(1011.0)
