from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.update.rollout import TABLE, Event, State, advance

HAPPY = (Event.FOUND, Event.VERIFIED, Event.STORED, Event.PASSED, Event.SWITCHED)


def test_the_five_events_of_a_good_candidate_make_it_active() -> None:
    state = State.IDLE

    for event in HAPPY:
        state = advance(state, event)

    assert state is State.ACTIVE


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_row(state: State) -> None:
    assert TABLE[state]


@given(st.lists(st.sampled_from(list(Event))))
def test_from_wherever_events_lead_a_new_candidate_can_go_live(events: list[Event]) -> None:
    state = State.IDLE
    for event in events:
        state = TABLE[state].get(event, state)

    for event in HAPPY:
        state = advance(state, event)

    assert state is State.ACTIVE


@pytest.mark.parametrize("state", [State.DESIRED, State.VERIFIED, State.STAGED, State.TRIED])
def test_every_state_under_way_can_end_in_a_refusal_or_a_delay(state: State) -> None:
    assert {advance(state, Event.REFUSED), advance(state, Event.HINDERED)} == {State.REJECTED, State.POSTPONED}


def test_nothing_goes_live_without_its_trial() -> None:
    leading_to_active = {(state, event) for state, row in TABLE.items() for event in row if row[event] is State.ACTIVE}

    assert leading_to_active == {(State.TRIED, Event.SWITCHED)}


def test_an_event_that_a_state_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot advance from 'idle' on 'passed', expected one of found"):
        advance(State.IDLE, Event.PASSED)
