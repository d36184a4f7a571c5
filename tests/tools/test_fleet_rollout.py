"""What a rollout does next, on fleets that are made up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.fleet.plan import Plan, read_plan
from edgectl.fleet.rollout import FAILURES, Box, Decision, Outcome, Status, decide
from edged.domain.errors import ConfigError

PLAN = Plan.model_validate(
    {
        "name": "autumn",
        "model": {"name": "parts", "version": "1.3.0"},
        "stage": [
            {"name": "canary", "share": 0.2, "soak_s": 600},
            {"name": "all", "share": 1.0, "soak_s": 0},
        ],
        "per_minute": 30,
    }
)
CANARIES = [f"c{number:02}" for number in range(20)]
OTHERS = [f"d{number:02}" for number in range(80)]
STAGES = (CANARIES, OTHERS)
NOW_S = 100_000.0


def fleet(canaries: Iterable[Box] = (), others: Iterable[Box] = ()) -> dict[str, Box]:
    """Give 100 boxes that nobody ordered anything, but for those that are given."""
    boxes = {name: Box(name, "pi", is_online=True) for name in (*CANARIES, *OTHERS)}
    return boxes | {box.device: box for box in (*canaries, *others)}


def came(names: Iterable[str], state: str, *, ago_s: float = 1000.0, **more: object) -> list[Box]:
    """Give boxes that were ordered a while ago and report this state since then."""
    since_s = NOW_S - ago_s
    box = Box("", "pi", is_online=True, ordered_s=since_s, reported=state, since_s=since_s)
    return [replace(box, device=name, **more) for name in names]


def test_it_begins_with_the_canaries() -> None:
    assert decide(PLAN, STAGES, fleet(), NOW_S) == Decision(Status.RUNNING, 0, send=tuple(CANARIES))


def test_it_gives_no_more_orders_a_minute_than_allowed() -> None:
    sent = came(OTHERS[:25], "downloading", ago_s=10.0)
    told = decide(PLAN, STAGES, fleet(came(CANARIES, "committed"), sent), NOW_S)
    assert told.send == tuple(OTHERS[25:30])


def test_it_waits_while_a_box_is_under_way() -> None:
    boxes = fleet([*came(CANARIES[:19], "committed"), *came(CANARIES[19:], "probation")])
    assert decide(PLAN, STAGES, boxes, NOW_S) == Decision(Status.RUNNING, 0, "1 boxes are under way")


def test_it_waits_for_the_soak_of_the_last_one() -> None:
    boxes = fleet([*came(CANARIES[:19], "committed"), *came(CANARIES[19:], "committed", ago_s=100.0)])
    assert decide(PLAN, STAGES, boxes, NOW_S) == Decision(Status.SOAKING, 0, "500 s of its soak are left")


def test_after_the_soak_the_next_stage_begins() -> None:
    told = decide(PLAN, STAGES, fleet(came(CANARIES, "committed")), NOW_S)
    assert (told.status, told.stage, told.send) == (Status.RUNNING, 1, tuple(OTHERS[:30]))


def test_with_the_last_stage_it_is_finished() -> None:
    boxes = fleet(came(CANARIES, "committed"), came(OTHERS, "committed"))
    assert decide(PLAN, STAGES, boxes, NOW_S).status is Status.FINISHED


def test_three_of_twenty_canaries_that_roll_back_end_it_and_nobody_else_receives_anything() -> None:
    """Case 51."""
    boxes = fleet(
        [*came(CANARIES[:3], "rolled-back"), *came(CANARIES[3:19], "committed"), *came(CANARIES[19:], "ready")]
    )
    told = decide(PLAN, STAGES, boxes, NOW_S)
    assert told.status is Status.ABORTED
    assert told.reason == "3 of 19 boxes failed, expected at most 2"
    assert told.send == ()
    assert told.revoke == (*CANARIES[:3], CANARIES[19])


def test_exactly_at_the_threshold_nothing_happens() -> None:
    """Case 52."""
    boxes = fleet([*came(CANARIES[:2], "failed"), *came(CANARIES[2:], "committed")])
    assert decide(PLAN, STAGES, boxes, NOW_S).status is not Status.ABORTED
    boxes |= {box.device: box for box in came(OTHERS[:80], "committed")}
    many = replace_failures(boxes, 5)
    assert decide(PLAN, STAGES, many, NOW_S).status is not Status.ABORTED
    assert decide(PLAN, STAGES, replace_failures(boxes, 6), NOW_S).status is Status.ABORTED


def replace_failures(boxes: dict[str, Box], count: int) -> dict[str, Box]:
    return {
        name: replace(box, reported="failed" if index < count else "committed")
        for index, (name, box) in enumerate(boxes.items())
    }


def test_a_fleet_that_is_away_pauses_it_and_does_not_end_it() -> None:
    """Case 53."""
    away = [replace(box, is_online=False) for box in came(CANARIES[:18], "")]
    told = decide(PLAN, STAGES, fleet([*away, *came(CANARIES[18:], "committed")]), NOW_S)
    assert told == Decision(Status.PAUSED, 0, "18 of 20 boxes are offline: it waits for them")


def test_a_few_that_are_away_do_not_hold_it_up() -> None:
    away = [replace(box, is_online=False) for box in came(CANARIES[:4], "")]
    told = decide(PLAN, STAGES, fleet([*away, *came(CANARIES[4:], "committed")]), NOW_S)
    assert (told.status, told.stage) == (Status.RUNNING, 1)


def test_whoever_asks_anew_decides_the_same() -> None:
    """Case 54: there is nothing to remember."""
    boxes = fleet(came(CANARIES, "committed"), came(OTHERS[:40], "committed"))
    assert decide(PLAN, STAGES, boxes, NOW_S) == decide(PLAN, STAGES, dict(reversed(boxes.items())), NOW_S)


def test_boxes_that_say_success_with_worse_figures_hold_it() -> None:
    """Case 58."""
    slow = came(CANARIES[:4], "committed", p95_ratio=3.0)
    told = decide(PLAN, STAGES, fleet([*slow, *came(CANARIES[4:], "committed", p95_ratio=1.1)]), NOW_S)
    assert told == Decision(Status.PAUSED, 0, "16 of 20 boxes are well, expected 95%; 4 succeeded with worse figures")


def test_frames_without_an_answer_hold_it_too() -> None:
    blind = came(CANARIES, "committed", error_share=0.5)
    assert decide(PLAN, STAGES, fleet(blind), NOW_S).status is Status.PAUSED


def test_boxes_that_drift_since_hold_it_unless_nobody_asks_for_that() -> None:
    drifting = [*came(CANARIES[:4], "committed", drifts=True), *came(CANARIES[4:], "committed")]
    told = decide(PLAN, STAGES, fleet(drifting), NOW_S)
    assert told == Decision(Status.PAUSED, 0, "16 of 20 boxes are well, expected 95%; 4 succeeded with worse figures")
    lenient = PLAN.model_copy(update={"gates": PLAN.gates.model_copy(update={"drift": False})})
    assert decide(lenient, STAGES, fleet(drifting), NOW_S).status is not Status.PAUSED


def test_a_box_that_never_comes_to_an_end_failed() -> None:
    late = came(CANARIES[:1], "downloading", ago_s=90_000.0)[0]
    assert late.outcome(NOW_S, PLAN.timeout_s) is Outcome.TIMED_OUT
    assert replace(late, is_online=False).outcome(NOW_S, PLAN.timeout_s) is Outcome.UNDER_WAY


def test_a_box_that_comes_back_after_days_gets_its_time() -> None:
    back = came(CANARIES, "", ago_s=2 * 86_400.0, online_s=NOW_S - 60)
    assert decide(PLAN, STAGES, fleet(back), NOW_S).status is Status.RUNNING


def test_what_a_box_tries_again_is_no_failure() -> None:
    trying = came(CANARIES[:5], "retrying")
    told = decide(PLAN, STAGES, fleet([*trying, *came(CANARIES[5:], "committed")]), NOW_S)
    assert told == Decision(Status.RUNNING, 0, "5 boxes are under way")


def test_what_boxes_have_to_refuse_ends_it() -> None:
    assert decide(PLAN, STAGES, fleet(came(CANARIES, "refused")), NOW_S).status is Status.ABORTED


def test_what_was_aborted_is_not_begun_again() -> None:
    """The boxes have committed what they ran before by then, by this rollout's own order."""
    boxes = fleet(came(CANARIES, "committed", is_revoked=True))
    assert decide(PLAN, STAGES, boxes, NOW_S) == Decision(Status.ABORTED, 0, "it was aborted")


def test_paused_by_hand_it_takes_nothing_back_either() -> None:
    told = decide(PLAN, STAGES, fleet(came(CANARIES, "rolled-back")), NOW_S, Status.PAUSED)
    assert told == Decision(Status.PAUSED, 0, "20 of 20 boxes failed, expected at most 2")


@pytest.mark.parametrize("since_s", [None, NOW_S + 1e9])
def test_a_box_with_a_wrong_clock_does_not_make_the_soak_endless(since_s: float | None) -> None:
    odd = [replace(box, since_s=since_s) for box in came(CANARIES[:1], "committed")]
    told = decide(PLAN, STAGES, fleet([*odd, *came(CANARIES[1:], "committed")]), NOW_S)
    assert told.status is Status.RUNNING if since_s is None else told.reason == "600 s of its soak are left"


def test_boxes_that_it_does_not_apply_to_count_neither_way() -> None:
    boxes = fleet([*came(CANARIES[:10], "rejected"), *came(CANARIES[10:], "committed")])
    assert decide(PLAN, STAGES, boxes, NOW_S).stage == 1


def test_canaries_that_it_applies_to_none_of_have_shown_nothing() -> None:
    told = decide(PLAN, STAGES, fleet(came(CANARIES, "rejected")), NOW_S)
    assert told == Decision(Status.PAUSED, 0, "no box has shown yet that it works: it applies to none so far")


def test_a_later_stage_that_it_applies_to_none_of_is_passed() -> None:
    boxes = fleet(came(CANARIES, "committed"), came(OTHERS, "rejected"))
    assert decide(PLAN, STAGES, boxes, NOW_S).status is Status.FINISHED


def test_paused_by_hand_it_sends_nothing() -> None:
    told = decide(PLAN, STAGES, fleet(), NOW_S, Status.PAUSED)
    assert told == Decision(Status.PAUSED, 0, "it was paused by hand")


def test_aborted_by_hand_it_takes_back_what_is_not_committed() -> None:
    boxes = fleet([*came(CANARIES[:10], "committed"), *came(CANARIES[10:12], "ready")])
    boxes["c12"] = replace(boxes["c12"], ordered_s=NOW_S, is_revoked=True)
    told = decide(PLAN, STAGES, boxes, NOW_S, Status.ABORTED)
    assert told == Decision(Status.ABORTED, 0, "it was aborted", revoke=("c10", "c11"))


@given(
    st.lists(
        st.sampled_from(["", "downloading", "committed", "failed", "rolled-back", "rejected"]), min_size=20, max_size=20
    ),
    st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_nobody_behind_the_canaries_is_served_before_they_are_well(states: list[str], online: list[bool]) -> None:
    canaries = [
        replace(came([name], state)[0], is_online=is_on)
        for name, state, is_on in zip(CANARIES, states, online, strict=True)
    ]
    boxes = fleet(canaries)
    told = decide(PLAN, STAGES, boxes, NOW_S)
    outcomes = [boxes[name].outcome(NOW_S, PLAN.timeout_s) for name in CANARIES]
    if set(told.send) & set(OTHERS):
        failures = sum(one in FAILURES for one in outcomes)
        good = outcomes.count(Outcome.SUCCEEDED)
        assert good >= 0.95 * (good + failures)
        assert failures <= 2


def test_a_plan_is_read_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "autumn.toml"
    file.write_text('name = "autumn"\nmodel = { name = "parts", version = "1.3.0" }\n', "utf-8")
    plan = read_plan(file)
    assert [stage.share for stage in plan.stage] == [0.01, 0.1, 0.5, 1.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "Autumn"\nmodel = { name = "parts", version = "1.3.0" }', "name"),
        ('name = "a"\nmodel = { name = "parts", version = "1.3.0" }\nsoak = 3', "soak"),
        (
            'name = "a"\nmodel = { name = "parts", version = "1" }\nstage = [{ name = "x", share = 0.5 }]',
            "expected rising ones that end with 1.0",
        ),
    ],
)
def test_a_plan_with_a_fault_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "autumn.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=words):
        read_plan(file)
