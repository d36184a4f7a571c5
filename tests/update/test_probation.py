"""Probation: what costs a model its place, and what does not."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.update.probation import (
    COMMIT,
    LONGEST_S,
    WATCH,
    Conduct,
    Terms,
    Verdict,
    difference,
    judge,
    sure_share,
    surely_above,
)

BEFORE = Conduct(
    results=1000, failures=2, p95_ms=20.0, memory_mb=100.0, told={"washer": 700, "nothing": 300}, silent_s=1.0
)
TERMS = Terms(probation_s=900.0, min_results=100)
LATE_S = 901.0


def test_a_model_that_behaves_as_the_one_before_is_committed_when_its_time_is_over() -> None:
    assert judge(BEFORE, BEFORE, TERMS, LATE_S) == COMMIT


def test_before_its_time_is_over_it_is_watched() -> None:
    assert judge(BEFORE, BEFORE, TERMS, 899.0) == WATCH


def test_a_model_that_had_nothing_to_answer_is_watched_on() -> None:
    assert judge(BEFORE, Conduct(results=99, told={}), TERMS, 10 * LATE_S) == WATCH


def test_the_first_model_of_a_box_is_judged_by_what_it_does_alone() -> None:
    assert judge(None, BEFORE, TERMS, LATE_S) == COMMIT


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (replace(BEFORE, crashes=2), "crashed 2 times in probation, expected at most 1"),
        (replace(BEFORE, failures=40), "gave no answer to 40 of 1000 frames, expected at most 1.0%"),
        (replace(BEFORE, suspects=40), "40 of 1000 answers are suspect, expected at most 1.0%"),
        (
            replace(BEFORE, down_s={"gate": 9.0, "dock": 130.0}),
            "dock has been down for 130 s, expected it to run as before",
        ),
        (
            replace(BEFORE, p95_ms=60.0, p95_least_ms=55.0),
            "p95 60.0 ms in service, expected at most 30.0 ms (before: 20.0 ms)",
        ),
        (replace(BEFORE, memory_mb=190.0), "190 MB in service, expected at most 189 MB (before: 100 MB)"),
        (replace(BEFORE, is_overheated=True), "the box overheats since it went live, expected it as cool as before"),
        (
            replace(BEFORE, told={"washer": 300, "nothing": 700}),
            "40% of the frames tell something else than before, expected at most 35%",
        ),
        (replace(BEFORE, silent_s=400.0), "no broker for 400 s since it went live, expected one as before"),
    ],
)
def test_it_is_rolled_back_for(now: Conduct, reason: str) -> None:
    verdict = judge(BEFORE, now, TERMS, 60.0)
    assert (verdict.what, verdict.reason) == ("roll-back", reason)


@pytest.mark.parametrize(
    "now",
    [
        replace(BEFORE, crashes=1),
        replace(BEFORE, failures=15),
        replace(BEFORE, suspects=15),
        replace(BEFORE, down_s={"gate": 119.0}),
        replace(BEFORE, p95_ms=40.0, p95_least_ms=30.0),
        replace(BEFORE, results=99, p95_ms=400.0, p95_least_ms=300.0),
        replace(BEFORE, memory_mb=189.0),
        replace(BEFORE, told={"washer": 350, "nothing": 650}),
        replace(BEFORE, silent_s=299.0),
        replace(BEFORE, silent_s=None),
        Conduct(results=19, failures=19, p95_ms=500.0, told={"nut": 19}),
    ],
    ids=[
        "crash",
        "failures",
        "suspects",
        "down",
        "p95",
        "few-for-a-p95",
        "memory",
        "answers",
        "broker",
        "never-connected",
        "too-few",
    ],
)
def test_it_stays_for(now: Conduct) -> None:
    assert judge(BEFORE, now, TERMS, 60.0) == WATCH


def test_what_the_one_before_could_not_answer_either_is_excused() -> None:
    blind = replace(BEFORE, failures=400, suspects=300)
    assert judge(blind, replace(BEFORE, failures=420, suspects=310), TERMS, LATE_S) == COMMIT


def test_what_is_down_is_not_committed() -> None:
    assert judge(BEFORE, replace(BEFORE, down_s={"gate": 1.0}), TERMS, LATE_S) == WATCH


def test_a_model_that_no_pipeline_runs_is_committed_when_its_time_is_over() -> None:
    terms = replace(TERMS, is_used=False)
    assert judge(BEFORE, Conduct(), terms, 899.0) == WATCH
    assert judge(BEFORE, Conduct(), terms, 900.0) == Verdict("commit", "no pipeline runs it")


def test_nothing_is_watched_for_ever() -> None:
    reason = "99 of 100 results came within 14400 s: too few to tell"
    assert judge(BEFORE, Conduct(results=99), TERMS, LONGEST_S - 1.0) == WATCH
    assert judge(BEFORE, Conduct(results=99), TERMS, LONGEST_S) == Verdict("commit", reason)


def test_an_order_may_ask_for_a_longer_probation_than_the_longest_wait() -> None:
    assert judge(BEFORE, Conduct(), replace(TERMS, probation_s=86400.0), LONGEST_S) == WATCH


def test_what_answered_nothing_at_all_is_not_committed_for_its_patience() -> None:
    verdict = judge(BEFORE, Conduct(results=9, failures=9), TERMS, LONGEST_S)
    assert verdict == Verdict("roll-back", "gave no answer to any of 9 frames, expected some")


def test_results_since_it_went_live_count_where_the_stretch_is_shorter() -> None:
    assert judge(BEFORE, Conduct(results=75, ever=100), TERMS, LATE_S) == COMMIT


def test_a_slower_model_that_meets_the_objective_stays() -> None:
    assert (
        judge(BEFORE, replace(BEFORE, p95_ms=60.0, p95_least_ms=55.0), replace(TERMS, latency_ms=80.0), 60.0) == WATCH
    )


def test_an_order_that_asks_for_fewer_results_has_the_p95_judged_by_as_few() -> None:
    now = replace(BEFORE, results=30, failures=0, p95_ms=400.0, p95_least_ms=300.0)

    assert judge(BEFORE, now, replace(TERMS, min_results=30), 60.0).what == "roll-back"
    assert judge(BEFORE, replace(now, results=19), replace(TERMS, min_results=1), 60.0) == WATCH


@pytest.mark.parametrize(("tries", "share"), [(0, 0.0), (1, 0.2962), (20, 0.8038), (100, 0.8846), (10_000, 0.9435)])
def test_the_fewer_there_are_the_lower_the_quantile_that_says_something_of_the_p95(tries: int, share: float) -> None:
    assert sure_share(tries) == pytest.approx(share, abs=1e-4)


@given(st.integers(20, 5000))
def test_it_is_where_the_share_above_it_is_surely_more_than_a_twentieth(tries: int) -> None:
    above = (1 - sure_share(tries)) * tries

    assert surely_above(math.ceil(above) + 1, tries) > 0.05 > surely_above(max(0, math.floor(above) - 1), tries)


def test_a_restless_scene_excuses_other_answers() -> None:
    restless = replace(BEFORE, unrest=0.4)
    assert judge(restless, replace(BEFORE, told={"nothing": 1000}), TERMS, 60.0) == WATCH


def test_heat_that_was_there_before_is_not_the_models() -> None:
    hot = replace(BEFORE, is_overheated=True)
    assert judge(hot, hot, TERMS, 60.0) == WATCH


def test_a_box_without_a_broker_before_misses_none() -> None:
    alone = replace(BEFORE, silent_s=None)
    assert judge(alone, replace(BEFORE, silent_s=4000.0), TERMS, 60.0) == WATCH


def test_a_model_as_good_as_the_one_before_is_hardly_ever_rolled_back() -> None:
    chance = Random(7)  # noqa: S311 - the same draws in every run
    draws = [sum(chance.random() < 0.03 for _ in range(300)) for _ in range(300)]
    before = Conduct(results=10_000, failures=300)
    lost = [judge(before, Conduct(results=300, failures=hits), TERMS, 60.0) != WATCH for hits in draws]
    assert sum(lost) <= 3


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_sure_share_is_at_most_the_observed_one(tries: int, share: float) -> None:
    hits = round(share * tries)
    assert 0.0 <= surely_above(hits, tries) <= hits / tries


def test_of_no_tries_no_share_is_sure() -> None:
    assert surely_above(0, 0) == 0.0


def test_mixes_differ_by_the_share_of_frames() -> None:
    assert difference({"nut": 5, "bolt": 5}, {"nut": 10}) == pytest.approx(0.5)
    assert difference({"nut": 5}, {"bolt": 1}) == pytest.approx(1.0)
    assert difference({}, {"bolt": 1}) == 0.0
