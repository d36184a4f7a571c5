from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.update.rollout import CHANGING, SETTLED, TABLE, UNDER_WAY, Event, State, advance

OFFERED = (
    Event.FOUND,
    Event.BEGUN,
    Event.AT_HAND,
    Event.STORED,
    Event.TRYING,
    Event.PASSED,
    Event.OPENED,
    Event.KEPT,
)
ORDERED = (
    Event.ORDERED,
    Event.BEGUN,
    Event.NEEDED,
    Event.FETCHED,
    Event.STORED,
    Event.TRYING,
    Event.PASSED,
    Event.OPENED,
    Event.SWITCHED,
    Event.KEPT,
)
SHADOWED = (*ORDERED[:6], Event.PAIRED, Event.AGREED, *ORDERED[7:])
anything = st.lists(st.sampled_from(list(Event)), max_size=60)


def after(events: list[Event]) -> State:
    """Give where those of the events lead that the table knows there."""
    state = State.IDLE
    for event in events:
        state = TABLE[state].get(event, state)
    return state


@pytest.mark.parametrize("events", [OFFERED, ORDERED, SHADOWED])
def test_the_events_of_a_good_candidate_commit_it(events: tuple[Event, ...]) -> None:
    state = State.IDLE

    for event in events:
        state = advance(state, event)

    assert state is State.COMMITTED


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_row(state: State) -> None:
    assert TABLE[state]


def test_every_state_is_settled_or_under_way_or_changing() -> None:
    assert set(State) == UNDER_WAY | CHANGING | SETTLED
    assert len(UNDER_WAY) + len(CHANGING) + len(SETTLED) == len(State)


@given(anything)
def test_from_wherever_events_lead_there_is_a_way_back_to_rest(events: list[Event]) -> None:
    """Property: no state without a way back."""
    state = after(events)

    reached = {state}
    while more := {one for known in reached for one in TABLE[known].values()} - reached:
        reached |= more

    assert reached & SETTLED


@given(anything, st.sampled_from([OFFERED, ORDERED]))
def test_from_wherever_events_lead_a_new_candidate_can_go_live(events: list[Event], good: tuple[Event, ...]) -> None:
    state = after(events)
    if state in CHANGING:
        state = advance(State.ROLLING_BACK if state is State.PROBATION else state, Event.EMPTIED)

    for event in good:
        state = advance(state, event)

    assert state is State.COMMITTED


@given(anything)
def test_what_is_live_can_be_lost_in_every_state(events: list[Event]) -> None:
    state = after(events)

    assert {advance(state, Event.LOST), advance(state, Event.EMPTIED)} == {State.ROLLED_BACK, State.IDLE}


@pytest.mark.parametrize("state", sorted(UNDER_WAY, key=list(State).index))
def test_every_state_under_way_can_end_in_each_of_five_ways(state: State) -> None:
    events = (Event.REFUSED, Event.FAILED, Event.HINDERED, Event.CANCELLED, Event.SUPERSEDED)

    assert {advance(state, event) for event in events} < SETTLED


@pytest.mark.parametrize("state", sorted(CHANGING, key=list(State).index))
def test_from_its_activation_on_nobody_can_call_it_back(state: State) -> None:
    """Case 49, the table's half: CANCELLED before ACTIVATING, refused from there on."""
    assert not {Event.CANCELLED, Event.SUPERSEDED, Event.WITHDRAWN} & set(TABLE[state])


def test_nothing_goes_live_without_its_trial_and_nothing_is_committed_that_was_not_live() -> None:
    leading = {(state, following) for state, row in TABLE.items() for following in row.values()}

    assert {state for state, following in leading if following is State.ACTIVATING} == {State.READY}
    assert {state for state, following in leading if following is State.READY} == {State.VALIDATING, State.SHADOWING}
    assert {state for state, following in leading if following is State.SHADOWING} == {State.VALIDATING}
    assert {state for state, following in leading if following is State.COMMITTED} == {
        State.CHECKING,
        State.ACTIVATING,
        State.PROBATION,
        State.COMMITTED,
    }


def test_an_event_that_a_state_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot advance from 'downloading' on 'passed', expected one of lost"):
        advance(State.DOWNLOADING, Event.PASSED)
