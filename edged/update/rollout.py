"""How a model goes live: every state, every event, and nothing that decides.

The table is all there is: what it does not list cannot happen. docs/reference/rollout.md draws its diagram from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class State(str, Enum):
    """How far the candidate has come. The active model is live in all of them."""

    IDLE = "idle"
    """Nothing was ever asked for."""
    DESIRED = "desired"
    """A bundle was found that is not the active one."""
    VERIFIED = "verified"
    """Its files are those that its manifest names."""
    STAGED = "staged"
    """It lies in the store. A restart from here means that its trial was interrupted."""
    TRIED = "tried"
    """It gave the expected answers."""
    ACTIVE = "active"
    """It is live; what was live before is the previous one."""
    REJECTED = "rejected"
    """It must not run; the active model stayed live."""
    POSTPONED = "postponed"
    """The box could not do it now (a full disk, an engine that is away); the next look tries again."""
    ROLLED_BACK = "rolled-back"
    """The active one was lost or withdrawn; the previous one is live."""


class Event(str, Enum):
    """What can happen on the way."""

    FOUND = "found"
    VERIFIED = "verified"
    STORED = "stored"
    PASSED = "passed"
    SWITCHED = "switched"
    REFUSED = "refused"
    HINDERED = "hindered"
    LOST = "lost"
    EMPTIED = "emptied"


# A new candidate, or the same one after a restart, begins at the beginning from anywhere; so does a fall back.
_ALWAYS = {Event.FOUND: State.DESIRED, Event.LOST: State.ROLLED_BACK, Event.EMPTIED: State.IDLE}
_UNDER_WAY = {**_ALWAYS, Event.REFUSED: State.REJECTED, Event.HINDERED: State.POSTPONED}

TABLE: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        State.IDLE: {Event.FOUND: State.DESIRED},
        State.DESIRED: {**_UNDER_WAY, Event.VERIFIED: State.VERIFIED},
        State.VERIFIED: {**_UNDER_WAY, Event.STORED: State.STAGED},
        State.STAGED: {**_UNDER_WAY, Event.PASSED: State.TRIED},
        State.TRIED: {**_UNDER_WAY, Event.SWITCHED: State.ACTIVE},
        State.ACTIVE: _ALWAYS,
        State.REJECTED: _ALWAYS,
        State.POSTPONED: _ALWAYS,
        State.ROLLED_BACK: _ALWAYS,
    }
)


def advance(state: State, event: Event) -> State:
    """Give the next state. Raises ValueError for an event that the state does not know: a fault of the caller."""
    following = TABLE[state].get(event)
    if following is None:
        known = ", ".join(known.value for known in TABLE[state])
        message = f"cannot advance from {state.value!r} on {event.value!r}, expected one of {known}"
        raise ValueError(message)
    return following
