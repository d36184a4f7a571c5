"""Moves a model's slot from state to state: the journal first, then the pointer, then whoever wants to know."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from edged.domain.bundle import Bundle
from edged.domain.errors import DeviceError, EdgedError
from edged.update.change import Change
from edged.update.records import Pointer, Records, Release
from edged.update.retries import Retries
from edged.update.rollout import CHANGING, MAX_MOVES, SETTLED, Event, State, advance

__all__ = ["LOOP", "Change", "OvertakenError", "Slots", "StateLoopError"]

LOOP = "state-loop"


class OvertakenError(EdgedError):
    """The slot went another way meanwhile; whoever lost it looks again later."""

    code = "overtaken"


class StateLoopError(EdgedError):
    """A candidate went from state to state without coming to rest."""

    code = LOOP


class Slots:
    """The slots of a box. Thread-safe: each transition is made whole, and only from where its caller believes the slot to be."""

    def __init__(self, records: Records, told: Callable[[Change], None] = lambda _change: None) -> None:
        """``told`` hears of every transition after it was written; it must neither raise nor block for long."""
        self.records = records
        self.told = told
        self._lock = threading.Lock()
        self._retries = Retries()

    def pointer(self, model: str) -> Pointer:
        """Give where a model's slot stands."""
        return self.records.pointer(model)

    def advance(
        self, model: str, event: Event, *, since: Pointer | None = None, live: Bundle | None = None, **changes: Any
    ) -> Pointer:
        """Make a transition, durably, and give where the slot stands then.

        Args:
            model: whose slot.
            event: what happened; the table says what follows.
            since: where the caller last saw the slot.
            live: the bundle that is live from now on, when that changes.
            **changes: further fields of the pointer.

        Raises:
            OvertakenError: the slot has moved since.
            StateLoopError: it has moved too often without a rest, and nothing was changed.
            DeviceError: the disk refuses.
        """
        with self._lock:
            before = self.pointer(model)
            if since is not None and since.seq != before.seq:
                message = (
                    f"cannot go on with {model}: its slot is {before.state.value} now, expected {since.state.value}"
                )
                raise OvertakenError(message)
            after = self._after(model, before, event, changes)
            subject = after.candidate or before.candidate or after.active
            self._write_surely(Change(model, event, before, after, subject), live)
            if event in _RESERVING:
                self.records.reserve.keep()
        self.told(Change(model, event, before, after, subject))
        return after

    def mark(self, model: str, **changes: Any) -> None:
        """Change fields that are no transition, durably; nobody is told. Raises DeviceError when the disk refuses."""
        with self._lock:
            self.records.point(model, self.pointer(model).model_copy(update=changes))

    def _after(self, model: str, before: Pointer, event: Event, changes: dict[str, Any]) -> Pointer:
        state = advance(before.state, event)
        is_new = before.state in SETTLED and state not in SETTLED
        moves = 1 if is_new else before.moves + 1
        if moves > MAX_MOVES and event in _PROGRESS:
            message = (
                f"cannot go on with {model}: {before.moves} transitions without a rest, expected at most {MAX_MOVES}"
            )
            raise StateLoopError(message)
        fresh: dict[str, Any] = {"reason": "", "code": ""} if is_new else {}
        if state is not before.state:
            fresh["since_ms"] = self.records.now_ms()
        return before.model_copy(update={**fresh, **changes, "state": state, "seq": before.seq + 1, "moves": moves})

    def _write_surely(self, change: Change, live: Bundle | None) -> None:
        """Write it, with the room that is kept for that where a release may have to be taken back."""
        if State.ROLLING_BACK in {change.before.state, change.after.state}:
            self.records.reserve.free()  # the quarantine is written besides
        try:
            self._write(change, live)
        except DeviceError:
            if change.before.state not in CHANGING:
                raise
            self.records.reserve.free()
            self._write(change, live)

    def _write(self, change: Change, live: Bundle | None) -> None:
        for one, bundle in self._retries.lines(change, live):
            self._note(one, bundle)
        self.records.point(change.model, change.after)
        self._retries.written(change)

    def _note(self, change: Change, live: Bundle | None) -> None:
        after, subject = change.after, change.subject
        fields: dict[str, Any] = {
            "model": change.model,
            "event": change.event.value,
            "state": after.state.value,
            "seq": after.seq,
            "version": subject.version if subject else None,
            "digest": subject.digest if subject else None,
            "reason": after.reason,
        }
        if after.order is not None:
            fields["order"] = after.order.told()
        if after.active != change.before.active:
            fields["live"] = _live(after.active, live)
        self.records.note(**fields)


_RESERVING = frozenset({Event.ORDERED, Event.SWITCHED, Event.RESTARTED, Event.RESTORED, Event.EMPTIED})
"""After these there shall be room for a rollback, now or again."""
_PROGRESS = frozenset(
    {
        Event.BEGUN,
        Event.NEEDED,
        Event.AT_HAND,
        Event.FETCHED,
        Event.STORED,
        Event.TRYING,
        Event.PAIRED,
        Event.PASSED,
        Event.AGREED,
        Event.OPENED,
        Event.SWITCHED,
        Event.RESTARTED,
    }
)
"""What a loop goes on with; what ends one, or begins anew, is never refused."""


def _live(release: Release | None, bundle: Bundle | None) -> dict[str, Any] | None:
    """Name what is live from now on, down to the digests that results carry."""
    if release is None:
        return None
    variants = {one.id: one.sha256 for one in bundle.manifest.variant} if bundle is not None else {}
    return {**release.model_dump(), "variants": variants}
