"""How a model goes live: every state, every event, and nothing that decides.

The table is all there is: what it does not list cannot happen. docs/reference/rollout.md draws its diagram from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

MAX_MOVES = 32
"""Transitions of one candidate between two rests; the longest way has twelve. More is a loop, and ends it."""


class State(str, Enum):
    """How far the candidate has come. Until it is activated, what was live before is live."""

    IDLE = "idle"
    """Nothing was ever asked for, or nothing is left that could run."""
    ACCEPTED = "accepted"
    """A bundle was found in a folder, or ordered, that is not the active one; it is written down."""
    CHECKING = "checking"
    """Whether it may run here at all: quarantine, room on the disk."""
    DOWNLOADING = "downloading"
    """It is fetched; what has come stays, and only the rest is asked for after an interruption."""
    VERIFYING = "verifying"
    """Its files are held against their digests and taken into the store."""
    STAGED = "staged"
    """It lies in the store."""
    VALIDATING = "validating"
    """It is on trial. A restart from here means that the trial was interrupted."""
    SHADOWING = "shadowing"
    """It runs beside what is live, and their answers are compared. A restart from here means that it was interrupted, and tries it anew."""
    READY = "ready"
    """It gave the expected answers, and waits for its window and for a clock that is right."""
    ACTIVATING = "activating"
    """It goes live now."""
    PROBATION = "probation"
    """It is live and watched; what was live before is kept."""
    COMMITTED = "committed"
    """It is live for good."""
    REJECTED = "rejected"
    """It is not for this box, or not what it should be; the active model stayed live."""
    FAILED = "failed"
    """It did not pass, or could not be had; the active model stayed live."""
    POSTPONED = "postponed"
    """The box could not do it now (an engine that is away, a disk that takes nothing); the next look tries again."""
    ROLLING_BACK = "rolling-back"
    """It was live and must not be; the one before it goes live again."""
    ROLLED_BACK = "rolled-back"
    """The active one was lost or withdrawn; the previous one is live."""
    CANCELLED = "cancelled"
    """Who ordered it took that back before it was activated."""
    SUPERSEDED = "superseded"
    """A later order took its place before it was activated."""


class Event(str, Enum):
    """What can happen on the way."""

    FOUND = "found"
    ORDERED = "ordered"
    BEGUN = "begun"
    NEEDED = "needed"
    AT_HAND = "at-hand"
    LIVE_ALREADY = "live-already"
    FETCHED = "fetched"
    STORED = "stored"
    TRYING = "trying"
    PAIRED = "paired"
    PASSED = "passed"
    AGREED = "agreed"
    OPENED = "opened"
    SWITCHED = "switched"
    KEPT = "kept"
    RESTARTED = "restarted"
    CONDEMNED = "condemned"
    RESTORED = "restored"
    REFUSED = "refused"
    FAILED = "failed"
    HINDERED = "hindered"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    LOST = "lost"
    EMPTIED = "emptied"


# The active release can be lost to the disk at any moment.
_ALWAYS = {Event.LOST: State.ROLLED_BACK, Event.EMPTIED: State.IDLE}
# A candidate, or the same one after a restart, begins at the beginning.
_BEGINS = {Event.FOUND: State.ACCEPTED, Event.ORDERED: State.ACCEPTED}
_UNDER_WAY = {
    **_ALWAYS,
    **_BEGINS,
    Event.REFUSED: State.REJECTED,
    Event.FAILED: State.FAILED,
    Event.HINDERED: State.POSTPONED,
    Event.CANCELLED: State.CANCELLED,
    Event.SUPERSEDED: State.SUPERSEDED,
}


def _settled(state: State) -> dict[Event, State]:
    # An order that is taken back when nothing is on its way changes nothing but what is looked for.
    return {**_ALWAYS, **_BEGINS, Event.CONDEMNED: State.ROLLING_BACK, Event.WITHDRAWN: state}


TABLE: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        State.IDLE: _settled(State.IDLE),
        State.ACCEPTED: {**_UNDER_WAY, Event.BEGUN: State.CHECKING},
        State.CHECKING: {
            **_UNDER_WAY,
            Event.NEEDED: State.DOWNLOADING,
            Event.AT_HAND: State.VERIFYING,
            Event.LIVE_ALREADY: State.COMMITTED,
        },
        State.DOWNLOADING: {**_UNDER_WAY, Event.FETCHED: State.VERIFYING},
        State.VERIFYING: {**_UNDER_WAY, Event.STORED: State.STAGED},
        State.STAGED: {**_UNDER_WAY, Event.TRYING: State.VALIDATING},
        State.VALIDATING: {**_UNDER_WAY, Event.PASSED: State.READY, Event.PAIRED: State.SHADOWING},
        State.SHADOWING: {**_UNDER_WAY, Event.AGREED: State.READY},
        State.READY: {**_UNDER_WAY, Event.OPENED: State.ACTIVATING},
        State.ACTIVATING: {
            **_ALWAYS,
            **_BEGINS,
            Event.FAILED: State.FAILED,
            Event.SWITCHED: State.PROBATION,
            Event.KEPT: State.COMMITTED,
        },
        State.PROBATION: {
            **_ALWAYS,
            Event.RESTARTED: State.PROBATION,
            Event.KEPT: State.COMMITTED,
            Event.CONDEMNED: State.ROLLING_BACK,
        },
        State.ROLLING_BACK: {**_ALWAYS, Event.RESTORED: State.ROLLED_BACK},
        State.COMMITTED: _settled(State.COMMITTED),
        State.REJECTED: _settled(State.REJECTED),
        State.FAILED: _settled(State.FAILED),
        State.POSTPONED: _settled(State.POSTPONED),
        State.ROLLED_BACK: _settled(State.ROLLED_BACK),
        State.CANCELLED: _settled(State.CANCELLED),
        State.SUPERSEDED: _settled(State.SUPERSEDED),
    }
)

UNDER_WAY = frozenset(state for state, row in TABLE.items() if Event.CANCELLED in row)
"""A candidate is on its way, nothing that is live has changed, and it can still be called back."""
CHANGING = frozenset({State.ACTIVATING, State.PROBATION, State.ROLLING_BACK})
"""What is live changes, or may have to change back: an order that comes now waits."""
SETTLED = frozenset(State) - UNDER_WAY - CHANGING
"""Nothing is on its way."""


def advance(state: State, event: Event) -> State:
    """Give the next state. Raises ValueError for an event that the state does not know: a fault of the caller."""
    following = TABLE[state].get(event)
    if following is None:
        known = ", ".join(known.value for known in TABLE[state])
        message = f"cannot advance from {state.value!r} on {event.value!r}, expected one of {known}"
        raise ValueError(message)
    return following
