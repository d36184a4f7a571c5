"""A pipeline's time, second by second, on a clock that a test moves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.coverage import COVERED, Account, Look, blind_of
from edged.telemetry.coverage import CAUSES, MINUTE_MS, Minute, total
from fakes.clock import FakeClock

LIVE = Look("running", "live", 0)


class Bench:
    """An account on a clock that stands at the beginning of a minute."""

    def __init__(self, wanted_fps: float | None = None) -> None:
        self.clock = FakeClock(wall=1_800_000_000 * 10**9)
        self.judged, self.blind = 0, dict.fromkeys(CAUSES, 0)
        number = self.clock.wall // 60_000_000_000
        self.rows: list[Minute] = []
        self.account = Account(LIVE, self.clock.mono, self.clock.wall, Minute.unknown(number), wanted_fps)

    def go(self, seconds: int, judged: int = 0, worker: str = "running", feed: str = "live", **blind: int) -> Bench:
        for _ in range(seconds):
            self.clock.advance(1)
            self.look(judged, worker, feed, **blind)
        return self

    def look(self, judged: int = 0, worker: str = "running", feed: str = "live", **blind: int) -> None:
        self.judged += judged
        for cause, count in blind.items():
            self.blind[cause] += count  # type: ignore[index] # a cause by its name
        look = Look(worker, feed, self.judged, dict(self.blind))
        self.rows += self.account.take(look, self.clock.mono, self.clock.wall)

    def told(self) -> dict[str, Any]:
        """Give the seconds of the minute that goes on."""
        found = total([self.account.now])
        return {"seen": found.seen} | dict(zip(CAUSES, found.blind, strict=True)) | {"down": found.down}


def seconds(**wanted: float) -> dict[str, Any]:
    told = dict.fromkeys(("seen", *CAUSES), 0.0) | wanted
    return {**told, "down": pytest.approx(60 - sum(told.values()))}


def test_a_pipeline_that_judges_every_frame_sees_every_second() -> None:
    assert Bench().go(40, judged=15).told() == seconds(seen=40)


@pytest.mark.parametrize(
    ("states", "cause"),
    [
        ({"feed": "lost"}, "source"),
        ({"feed": "opening"}, "source"),
        ({"worker": "failed"}, "engine"),
        ({"worker": "starting", "feed": "opening"}, "engine"),
        ({"worker": "paused", "feed": "lost"}, "paused"),
        ({"worker": "ended", "feed": "ended"}, "source"),
    ],
)
def test_without_frames_the_states_say_why_nothing_is_seen(states: dict[str, str], cause: str) -> None:
    assert Bench().go(10, **states).told() == seconds(**{cause: 10})  # type: ignore[arg-type] # states are texts


def test_a_lost_source_is_blind_from_the_first_second_on_and_seen_from_the_first_result_on() -> None:
    bench = Bench().go(10, judged=15).go(7, feed="lost").go(5, judged=15)
    assert bench.told() == seconds(seen=15, source=7)


def test_pictures_on_which_nothing_can_be_seen_are_not_seen() -> None:
    assert Bench().go(10, judged=15, feed=COVERED).told() == seconds(source=10)


def test_a_source_that_says_nothing_while_it_is_there_is_blind_after_two_seconds() -> None:
    assert Bench().go(10, judged=15).go(10).told() == seconds(seen=12, source=8)


def test_a_sensor_that_gives_a_window_in_five_seconds_is_seen_between_them() -> None:
    bench = Bench()
    for _ in range(60):
        bench.go(4).go(1, judged=1)
    assert [row.seen_ms for row in bench.rows[-3:]] == [60_000] * 3


def test_a_camera_that_freezes_again_and_again_is_blind_each_time() -> None:
    bench = Bench()
    for _ in range(40):
        bench.go(20, judged=5).go(40)
    assert [(row.seen_ms, row.blind_ms[CAUSES.index("source")]) for row in bench.rows[-3:]] == [(22_000, 38_000)] * 3


def test_bursts_between_freezes_are_no_slow_source() -> None:
    bench = Bench()
    for _ in range(40):
        bench.go(1, judged=5).go(29)
    assert bench.rows[-1].blind_ms[CAUSES.index("source")] >= 50_000


def test_frames_that_still_pictures_spared_are_the_gates_share_of_what_was_asked() -> None:
    assert Bench(wanted_fps=10).go(10, judged=1, gate=14).told() == seconds(seen=1, gate=9)


def test_frames_that_were_replaced_are_no_loss_while_as_many_are_judged_as_are_asked_for() -> None:
    assert Bench(wanted_fps=5).go(10, judged=5, thinned=10).told() == seconds(seen=10)


def test_fewer_than_are_asked_for_are_thinned() -> None:
    assert Bench(wanted_fps=10).go(10, judged=5, thinned=10).told() == seconds(seen=5, thinned=5)


def test_unknown_results_are_the_engines_and_learning_is_its_own_cause() -> None:
    bench = Bench().go(10, engine=15).go(10, calibrating=2)
    assert bench.told() == seconds(engine=10, calibrating=10)


def test_a_pipeline_that_is_set_up_anew_counts_from_zero() -> None:
    bench = Bench().go(10, judged=15)
    bench.judged = 0
    assert bench.go(5, judged=15).told() == seconds(seen=15)


def test_a_minute_that_was_begun_by_an_earlier_run_goes_on() -> None:
    clock = FakeClock(wall=(1_800_000_000 + 50) * 10**9)
    number = clock.wall // 60_000_000_000
    known = Minute(number, 20_000, (0,) * len(CAUSES))
    account = Account(LIVE, clock.mono, clock.wall, known)
    clock.advance(10)
    (row,) = account.take(Look("running", "live", 10), clock.mono, clock.wall)
    assert (row.number, row.seen_ms, row.down_ms) == (number, 30_000, 30_000)


def test_a_clock_that_is_set_forward_leaves_minutes_of_which_nothing_is_known() -> None:
    bench = Bench().go(30, judged=1)
    bench.clock.step_wall(3600)
    bench.go(60, judged=1)
    first, second = bench.rows
    assert second.number - first.number == 60
    assert (first.seen_ms, first.down_ms) == (31_000, 29_000)


def test_a_clock_that_is_set_back_makes_no_minute_longer() -> None:
    bench = Bench().go(59, judged=1)
    bench.clock.step_wall(-50)
    bench.go(60, judged=1)
    assert {row.number: row.seen_ms for row in bench.rows} == {
        bench.account.now.number - 1: 60_000,
        bench.account.now.number: 0,
    }


def test_a_clock_that_is_set_within_its_minute_leaves_it() -> None:
    bench = Bench().go(30, judged=1)
    bench.clock.step_wall(5)
    bench.go(30, judged=1)
    assert [(row.seen_ms, row.down_ms) for row in bench.rows] == [(55_000, 5_000)]


COUNTS = st.dictionaries(st.sampled_from(CAUSES), st.integers(1, 30), max_size=3)
TICKS = st.lists(
    st.tuples(
        st.floats(0.1, 90.0),
        st.integers(0, 30),
        COUNTS,
        st.sampled_from(["running", "paused", "failed", "starting", "ended"]),
        st.sampled_from(["live", "lost", "opening"]),
    ),
    max_size=60,
)


@given(TICKS, st.sampled_from([None, 0.2, 10.0]), st.integers(0, 59))
def test_every_second_that_the_daemon_ran_is_seen_or_has_a_cause(
    ticks: list[tuple[float, int, dict[str, int], str, str]], wanted_fps: float | None, begins_at_s: int
) -> None:
    bench = Bench(wanted_fps)
    bench.clock.advance(begins_at_s)
    bench.account = Account(LIVE, bench.clock.mono, bench.clock.wall, bench.account.now, wanted_fps)
    began_ns = bench.clock.wall
    for elapsed_s, judged, blind, worker, source in ticks:
        bench.clock.advance(elapsed_s)
        bench.look(judged, worker, source, **blind)
    rows = [*bench.rows, bench.account.now]
    known_ms = sum(MINUTE_MS - row.down_ms for row in rows)
    assert known_ms == pytest.approx((bench.clock.wall - began_ns) / 1e6, abs=2 + len(rows))
    assert all(row.seen_ms + sum(row.blind_ms) + row.down_ms == MINUTE_MS for row in rows)
    assert all(row.down_ms == 0 for row in rows[1:-1])
    assert [row.number for row in rows] == list(range(rows[0].number, rows[-1].number + 1))


def test_a_pipelines_counters_are_told_by_cause() -> None:
    unknown = {"calibrating": 3, "deadline": 2, "samples-invalid": 1}
    drops = {"replaced": 5, "still": 7, "paused": 11, "no-model": 13, "closed": 17, "rate": 19}
    assert blind_of(unknown, drops, suspect=4) == {
        "calibrating": 3,
        "engine": 19,
        "source": 1,
        "thinned": 5,
        "gate": 7,
        "paused": 11,
    }
