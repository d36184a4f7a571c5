"""How fast a source may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.pace import NS_PER_S, RateLimit, Recorded


def passed(limit: RateLimit, times_s: list[float]) -> list[float]:
    return [at_s for at_s in times_s if limit.passes(at_s)]


def test_without_a_limit_everything_passes() -> None:
    assert passed(RateLimit(None), [0.0, 0.0, 0.1]) == [0.0, 0.0, 0.1]


@pytest.mark.parametrize(("source_fps", "limit_fps"), [(30, 15), (20, 15), (30, 7), (25, 24), (10, 10), (10, 30)])
def test_the_mean_rate_is_the_limit_or_the_sources_own(source_fps: int, limit_fps: int) -> None:
    times_s = [i / source_fps for i in range(source_fps * 60)]

    count = len(passed(RateLimit(limit_fps), times_s))

    assert count == pytest.approx(60 * min(source_fps, limit_fps), rel=0.01)


def test_a_frame_a_little_early_passes() -> None:
    assert passed(RateLimit(10), [0.0, 0.095, 0.2]) == [0.0, 0.095, 0.2]


def test_after_a_pause_there_is_no_burst() -> None:
    times_s = [0.0, 10.0, 10.01, 10.02, 10.03, 10.1]

    assert passed(RateLimit(10), times_s) == [0.0, 10.0, 10.1]


def test_time_that_went_back_begins_the_grid_anew() -> None:
    assert passed(RateLimit(1), [100.0, 0.0, 0.5, 1.0]) == [100.0, 0.0, 1.0]


@given(st.floats(0.5, 60), st.lists(st.floats(0, 0.5), max_size=200))
def test_never_more_than_the_limit_passes(fps: float, steps_s: list[float]) -> None:
    times_s = [sum(steps_s[:i]) for i in range(len(steps_s))]

    kept = passed(RateLimit(fps), times_s)

    span_s = kept[-1] - kept[0] if kept else 0.0
    assert len(kept) <= span_s * fps + 1 + RateLimit.SLACK + 1e-6


def test_a_recording_plays_at_its_own_speed() -> None:
    recorded = Recorded()

    assert recorded.due_ns(5.0, 100 * NS_PER_S) == 100 * NS_PER_S
    assert recorded.due_ns(5.5, 100 * NS_PER_S) == 100 * NS_PER_S + NS_PER_S // 2


def test_a_small_delay_is_caught_up() -> None:
    recorded = Recorded()
    recorded.due_ns(0.0, 0)

    assert recorded.due_ns(1.0, NS_PER_S + 5) == NS_PER_S


def test_a_long_delay_is_not_rushed_after() -> None:
    recorded = Recorded()
    recorded.due_ns(0.0, 0)

    assert recorded.due_ns(1.0, 60 * NS_PER_S) == 60 * NS_PER_S
    assert recorded.due_ns(2.0, 60 * NS_PER_S) == 61 * NS_PER_S


def test_what_is_late_catches_up_at_twice_its_speed_and_never_all_at_once() -> None:
    recorded, now_ns, handed = Recorded(), 0, []
    for item in range(12):
        source_s = item / 10
        if item == 3:
            now_ns += NS_PER_S * 4 // 10  # nobody looked for so long
        while (due_ns := recorded.due_ns(source_s, now_ns)) > now_ns:
            now_ns = due_ns
        handed.append(round(now_ns / NS_PER_S, 3))

    assert handed == [0.0, 0.1, 0.2, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0, 1.1]
