"""The cases of behaviour: what a model does before, at and after its activation."""

from __future__ import annotations

import pytest

from edged.domain.bundle import Bundle
from edged.domain.errors import RetryableError
from edged.update.probation import COMMIT, WATCH, Conduct, Terms, Verdict, judge
from edged.update.rollout import MAX_MOVES, Event, State
from edged.update.slots import StateLoopError
from fakes.site import BOOT, MODEL, OTHER_BOOT, Air, Tried


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("died by SIGSEGV", id="39-crash"),
        pytest.param("died by SIGILL", id="39-illegal"),
        pytest.param("did not end within 60 s", id="40-hang"),
        pytest.param("took 4096 MB, expected at most 700 MB", id="41-memory"),
        pytest.param("golden sample 3 differs by 0.4", id="42-golden"),
        pytest.param("golden sample 1: NaN", id="42-nan"),
    ],
)
def test_what_does_not_pass_its_trial_fails_for_good_and_the_old_model_serves(air: Air, reason: str) -> None:
    """Cases 39 to 42, the flow's half: FAILED(validation), quarantined; the trial's own half is tested with real children."""
    order = air.order()
    air.knobs.trial = lambda _: Tried(passed=False, reason=reason)

    assert air.carry(order) == "failed"

    pointer = air.records().pointer(MODEL)
    assert (pointer.code, pointer.finished, reason in pointer.reason) == ("validation", True, True)
    assert air.live() == "1.0.0"
    assert (air.carry(order), air.knobs.tried) == ("failed", ["2.0.0"])


def test_a_model_that_is_three_times_slower_in_service_is_rolled_back(air: Air) -> None:
    """Case 43: passes its golden samples, three times slower in service → rolled back in probation."""
    order = air.order()
    air.carry(order)
    slow = judge(Conduct(results=200, p95_ms=12.0), Conduct(results=200, p95_ms=36.0, p95_least_ms=33.0), Terms(), 60.0)
    air.knobs.verdict = slow

    assert air.carry(order) == "rolled-back"

    pointer = air.records().pointer(MODEL)
    assert "p95 36.0 ms in service, expected at most" in pointer.reason
    assert (air.live(), pointer.code) == ("1.0.0", "probation")
    assert [held.reason for held in air.records().quarantine().releases] == [pointer.reason]


def test_after_three_crashed_starts_it_is_rolled_back_without_a_network(air: Air) -> None:
    """Case 44: a crash loop after the activation → after three starts it is rolled back, with no network."""
    air.carry(air.order())
    air.knobs.fails = RetryableError("cannot reach it: no network", code="network")

    assert [air.live() for _ in range(3)] == ["2.0.0", "2.0.0", "1.0.0"]

    pointer = air.records().pointer(MODEL)
    assert (pointer.state, pointer.code, pointer.finished) == (State.ROLLED_BACK, "crashed", True)
    assert "edged ended 3 times" in pointer.reason


def test_starts_after_power_cuts_are_no_crashes(air: Air) -> None:
    """Case 44: a start after power loss is no failed attempt."""
    air.carry(air.order())
    for boot in (OTHER_BOOT, BOOT, OTHER_BOOT, BOOT):
        air.boot = boot
        assert air.live() == "2.0.0"


def test_what_is_rolled_back_is_not_taken_up_again(air: Air) -> None:
    order = air.order()
    air.knobs.verdict = Verdict("roll-back", "slow")
    air.carry(order)
    air.knobs.verdict = COMMIT

    assert (air.carry(order), air.live()) == ("rolled-back", "1.0.0")


def test_states_without_a_rest_end_after_32(air: Air) -> None:
    """Case 47: a state loop → the guard at 32."""
    order = air.order()
    slots = air.updater().slots
    slots.advance(MODEL, Event.ORDERED, order=order)
    for _ in range(MAX_MOVES // 2):
        slots.advance(MODEL, Event.BEGUN)
        slots.advance(MODEL, Event.ORDERED)
    with pytest.raises(StateLoopError, match="33 transitions without a rest, expected at most 32"):
        slots.advance(MODEL, Event.BEGUN)

    assert air.carry(order) == "failed"

    pointer = air.records().pointer(MODEL)
    assert (pointer.code, pointer.finished, air.live()) == ("state-loop", True, "1.0.0")


def test_a_probation_without_an_end_is_a_loop_too(air: Air) -> None:
    """Case 47: a box that loses its power in every probation."""
    air.carry(air.order())
    for number in range(MAX_MOVES):
        air.boot = f"boot-{number}"
        air.live()

    pointer = air.records().pointer(MODEL)
    assert (pointer.state, pointer.code, air.live()) == (State.ROLLED_BACK, "state-loop", "1.0.0")


def test_a_later_order_takes_the_place_of_one_that_waits(air: Air) -> None:
    """Case 48: a new order before ACTIVATING → SUPERSEDED."""
    air.knobs.waits = "the window"
    air.carry(air.order("2.0.0"))
    air.knobs.waits, air.knobs.verdict = None, COMMIT

    assert air.carry(air.order("3.0.0")) == "committed"

    assert "superseded" in air.seen
    assert air.live() == "3.0.0"


def test_an_order_can_be_taken_back_until_it_is_activated(air: Air) -> None:
    """Case 49: cancelled before ACTIVATING → CANCELLED, after it → refused."""
    air.knobs.waits = "the window"
    order = air.order()
    air.carry(order)
    assert air.updater().withdraw(MODEL)
    assert air.records().pointer(MODEL).state is State.CANCELLED

    air.knobs.waits, air.knobs.verdict = None, WATCH
    air.carry(air.order())

    assert not air.updater().withdraw(MODEL)
    assert air.live() == "2.0.0"


def test_a_bad_file_is_refused_in_the_next_campaign_unless_it_is_forced(air: Air) -> None:
    """Case 50: a bad digest again in the next campaign → refused from the quarantine unless ``force`` is signed."""
    air.knobs.trial = lambda _: Tried(passed=False, reason="NaN")
    air.carry(air.order(campaign="spring"))
    air.knobs.trial, air.knobs.verdict = (lambda _: Tried(passed=True)), COMMIT

    assert air.carry(air.order(campaign="summer")) == "rejected"
    pointer = air.records().pointer(MODEL)
    assert (pointer.code, "NaN" in pointer.reason) == ("quarantined", True)

    assert air.carry(air.order(campaign="autumn", force=True)) == "committed"
    assert air.live() == "2.0.0"


def test_a_trial_sees_what_lies_in_the_store(air: Air) -> None:
    seen: list[Bundle] = []

    def look(bundle: Bundle) -> Tried:
        seen.append(bundle)
        return Tried(passed=True)

    air.knobs.trial = look
    air.carry(air.order())

    assert seen[0].folder.is_relative_to(air.state / "slots")
