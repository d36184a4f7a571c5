"""Shadow mode: when a candidate that ran beside what is live may go on, and what becomes of it on its way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.update.rollout import Event, State
from edged.update.shadow import LONGEST_S, MOST_FAILURES, Compared, Demands, Ruling, rule
from edged.update.way import Move, Way
from fakes.site import MODEL, Air

DEMANDS = Demands(frames=100, agreement=0.9)


def seen(frames: int, agreed: int, last: str = "no washer was found") -> Compared:
    return Compared(frames=frames, agreed=agreed, last=last)


@pytest.mark.parametrize(
    ("compared", "elapsed_s", "what"),
    [
        (seen(99, 99), 10.0, "compare"),
        (seen(100, 100), 10.0, "go-on"),
        (seen(100, 90), 10.0, "go-on"),
        (seen(100, 89), 10.0, "refuse"),
        (seen(10, 0), 10.0, "compare"),
        (seen(11, 0), 10.0, "refuse"),
        (seen(50, 45), LONGEST_S, "go-on"),
        (seen(50, 44), LONGEST_S, "refuse"),
        (seen(19, 10), LONGEST_S, "go-on"),
    ],
)
def test_it_goes_on_when_enough_frames_agree_and_is_refused_as_soon_as_that_cannot_be(
    compared: Compared, elapsed_s: float, what: str
) -> None:
    assert rule(compared, DEMANDS, elapsed_s).what == what


def test_people_are_told_how_far_they_agree_and_how_they_differ() -> None:
    assert rule(seen(100, 97), DEMANDS, 1.0).reason == "97 of 100 frames agree in shadow"
    expected = "50 of 100 frames agree in shadow, expected 90.0%; the last that did not: no washer was found"
    assert rule(seen(100, 50), DEMANDS, 1.0).reason == expected
    assert (
        rule(seen(3, 0), DEMANDS, LONGEST_S).reason == "0 of 3 frames agree within 14400 s in shadow: too few to tell"
    )


def test_a_few_frames_are_enough_where_no_more_are_asked_for() -> None:
    assert rule(seen(5, 4), Demands(5, 1.0), 1.0).what == "refuse"


def test_a_candidate_that_dies_is_condemned() -> None:
    assert rule(seen(100, 100).without_engine("it crashed"), DEMANDS, 1.0) == Ruling(
        "condemn", "in shadow it gave no answer: it crashed"
    )


def test_a_candidate_that_gives_no_answers_is_condemned_and_one_that_misses_a_frame_is_not() -> None:
    missed = seen(0, 0)
    for _ in range(MOST_FAILURES - 1):
        missed = missed.without_answer("NaN")
    assert rule(missed, DEMANDS, 1.0).what == "compare"
    assert rule(missed.with_answer(None).without_answer("NaN"), DEMANDS, 1.0).what == "compare"
    assert rule(missed.without_answer("NaN"), DEMANDS, 1.0) == Ruling("condemn", "in shadow it gave no answer: NaN")


@given(st.lists(st.sampled_from([None, "another"]), max_size=40), st.floats(0, 1), st.integers(1, 40))
def test_frames_are_counted_once_and_a_ruling_never_turns_back(
    answers: list[str | None], agreement: float, frames: int
) -> None:
    demands, compared, over = Demands(frames, agreement), Compared(), ""
    for answer in answers:
        compared = compared.with_answer(answer)
        ruling = rule(compared, demands, 0.0)
        if compared.frames <= frames:
            assert not over or ruling.what == over == "refuse"
            over = ruling.what if ruling.what == "refuse" else ""
    assert (compared.frames, compared.agreed) == (len(answers), answers.count(None))


def test_an_order_with_shadow_is_compared_before_anything_changes_and_goes_on(air: Air) -> None:
    order = air.order(shadow_one_in=10)
    air.knobs.ruling = Ruling("compare", "3 of 3 frames agree in shadow")
    assert air.carry(order) == "shadowing"
    assert air.live() == "1.0.0"
    assert [(one.model, one.order, one.bundle.manifest.version) for one in air.knobs.shadowed] == [
        (MODEL, order, "2.0.0")
    ]

    air.knobs.ruling = Ruling("go-on", "100 of 100 frames agree in shadow")

    assert air.carry(order) == "probation"
    assert air.live() == "2.0.0"


def test_how_they_agree_is_in_the_journal_and_no_reason_of_what_follows(air: Air) -> None:
    air.knobs.ruling = Ruling("go-on", "100 of 100 frames agree in shadow")

    air.carry(air.order(shadow_one_in=1))

    assert "100 of 100 frames agree in shadow" in (air.state / "journal.ndjson").read_text("utf-8")
    assert air.records().pointer(MODEL).reason == ""


def test_a_release_that_answers_otherwise_fails_for_this_order_alone(air: Air) -> None:
    air.knobs.ruling = Ruling("refuse", "2 of 100 frames agree in shadow, expected 90.0%")
    order = air.order(shadow_one_in=10)

    assert air.carry(order) == "failed"

    pointer = air.records().pointer(MODEL)
    assert (pointer.code, pointer.finished, air.live()) == ("shadow", True, "1.0.0")
    assert air.records().quarantine().releases == ()
    assert air.carry(air.order("2.0.0")) == "probation"


def test_a_release_that_dies_in_shadow_is_put_into_quarantine(air: Air) -> None:
    air.knobs.ruling = Ruling("condemn", "in shadow it gave no answer: it crashed")

    assert air.carry(air.order(shadow_one_in=10)) == "failed"

    assert [held.reason for held in air.records().quarantine().releases] == ["in shadow it gave no answer: it crashed"]
    assert air.live() == "1.0.0"


def test_a_restart_in_shadow_tries_and_compares_anew_without_another_download(air: Air) -> None:
    order = air.order(shadow_one_in=10)
    air.knobs.ruling = Ruling("compare")
    air.carry(order)

    assert air.carry(order) == "shadowing"

    assert (len(air.knobs.fetched), len(air.knobs.tried), len(air.knobs.shadowed)) == (1, 2, 2)


def test_a_release_under_which_edged_ended_three_times_in_shadow_is_never_run_again(air: Air) -> None:
    order = air.order(shadow_one_in=10)
    air.knobs.ruling = Ruling("compare")
    for crashed in range(3):
        assert air.carry(order) == "shadowing"
        assert air.records().pointer(MODEL).attempt == crashed

    assert air.carry(order) == "failed"

    pointer = air.records().pointer(MODEL)
    reason = "its trial, or its run in shadow, was interrupted 3 times, expected it to end"
    assert (pointer.finished, reason in pointer.reason, air.live()) == (True, True, "1.0.0")
    assert [held.reason for held in air.records().quarantine().releases] == [reason]
    assert len(air.knobs.shadowed) == 3


def test_crashes_on_trial_and_in_shadow_count_together_and_no_more_once_it_is_through(air: Air) -> None:
    order = air.order(shadow_one_in=10)
    air.knobs.ruling = Ruling("compare")
    air.carry(order)
    air.carry(order)
    air.knobs.is_slow = True
    assert air.carry(order) == "validating"
    assert air.records().pointer(MODEL).attempt == 2
    air.knobs.is_slow, air.knobs.waits = False, "the window opens at 01:00"
    air.boot, air.knobs.ruling = "another boot", Ruling("go-on")

    assert air.carry(order) == "ready"

    assert air.records().pointer(MODEL).attempt == 0


def test_an_end_that_was_asked_for_in_shadow_is_no_crash(air: Air) -> None:
    order = air.order(shadow_one_in=10)
    air.knobs.ruling = Ruling("compare")
    for _ in range(4):
        assert air.carry(order) == "shadowing"
        air.updater().ended_well()

    assert air.records().pointer(MODEL).attempt == 0


def test_a_shadow_that_always_cuts_the_power_comes_to_an_end_and_is_not_blamed(air: Air) -> None:
    order = air.order(shadow_one_in=10)
    air.knobs.ruling = Ruling("compare")
    for boot in range(10):
        air.boot = f"boot-{boot}"
        air.carry(order)

    pointer = air.records().pointer(MODEL)
    assert (pointer.state, pointer.code, pointer.finished) == (State.FAILED, "state-loop", True)
    assert air.records().quarantine().releases == ()


def test_a_candidate_that_was_lost_from_the_store_in_shadow_is_fetched_again(air: Air) -> None:
    order = air.order(shadow_one_in=10)
    air.knobs.ruling = Ruling("compare")
    air.carry(order)
    candidate = air.records().pointer(MODEL).candidate
    assert candidate is not None
    for file in (air.state / "store").rglob("*"):
        if file.is_file():
            file.unlink()

    air.carry(order)

    assert len(air.knobs.fetched) == 2


def test_a_later_order_takes_the_place_of_one_in_shadow(air: Air) -> None:
    air.knobs.ruling = Ruling("compare")
    air.carry(air.order(shadow_one_in=10))

    assert air.carry(air.order("3.0.0")) == "probation"

    assert "superseded" in air.seen
    assert air.live() == "3.0.0"


def test_a_download_and_a_trial_that_go_on_are_waited_for_without_a_transition(air: Air) -> None:
    order, air.knobs.is_slow = air.order(), True
    assert air.carry(order) == "downloading"
    moves = air.records().pointer(MODEL).moves
    air.knobs.is_slow = False
    updater, way = air.updater(), air.way(order)
    air.knobs.trial = lambda _bundle: None  # type: ignore[assignment,return-value]
    pause = updater.carry(way)
    assert (pause.why, air.records().pointer(MODEL).state) == ("it is on trial", State.VALIDATING)
    assert updater.carry(way).why == "it is on trial"
    assert air.records().pointer(MODEL).moves == moves + 3


def test_what_comes_from_a_folder_is_compared_with_nothing(air: Air) -> None:
    assert Way.accompany(air.way(air.order()), air.records().pointer(MODEL)) == Move(Event.AGREED)
