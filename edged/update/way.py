"""A candidate's way: one step for each state, each of which may be taken again after a restart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, EdgedError
from edged.update.records import Pointer, Records, Release
from edged.update.rollout import Event, State
from edged.update.store import Store

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Move:
    """What happened in a step, and what of the pointer changes with it. ``live`` is the bundle that goes live by it."""

    event: Event
    changes: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    live: Bundle | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing can be done for so many seconds, for this reason; None: nothing is left to do."""

    seconds: float | None
    why: str = ""


DONE = Pause(None)


class FailedError(BundleError):
    """A candidate that had its trial, or ran, and must not go live."""

    code = "validation"


class Way(ABC):
    """What is done about a candidate in each state: for one that lies in a folder unless a step says else.

    A step gives what happened, or why it has to wait. It raises EdgedError, and may be taken again.
    """

    def __init__(self, model: str, store: Store, records: Records) -> None:
        self.model, self._store, self._records = model, store, records

    def begin(self, _pointer: Pointer) -> Move | Pause:
        """Begin with what may be known before anything is fetched."""
        return Move(Event.BEGUN)

    @abstractmethod
    def check(self, pointer: Pointer) -> Move | Pause:
        """Look whether it may run on this box at all."""

    def fetch(self, _pointer: Pointer) -> Move | Pause:
        """Bring its file; one from a folder is here."""
        return Move(Event.FETCHED)

    @abstractmethod
    def take_in(self, pointer: Pointer) -> Move | Pause:
        """Hold its files against their digests and take them into the store."""

    def present(self, _pointer: Pointer) -> Move | Pause:
        """Take it to its trial."""
        return Move(Event.TRYING)

    @abstractmethod
    def try_out(self, pointer: Pointer) -> Move | Pause:
        """Try it."""

    def accompany(self, _pointer: Pointer) -> Move | Pause:
        """Compare it with what is live; one from a folder is not."""
        return Move(Event.AGREED)

    def wait(self, _pointer: Pointer) -> Move | Pause:
        """Wait until it may go live; one from a folder may at once."""
        return Move(Event.OPENED)

    @abstractmethod
    def go_live(self, pointer: Pointer) -> Move | Pause:
        """Make it the live one."""

    def watch(self, _pointer: Pointer) -> Move | Pause:
        """Look how it does; nobody watches over one from a folder."""
        return Move(Event.KEPT, {"finished": True})

    def restore(self, pointer: Pointer) -> Move | Pause:
        """Bring back what was live before."""
        return restore(self.model, pointer, self._store, self._records)

    @abstractmethod
    def failure(self, error: EdgedError) -> Move | Pause:
        """Say what an error in one of the steps is for this candidate."""

    def condemn(self, release: Release, reason: str) -> FailedError:
        """Put a release into quarantine, and give the error that says so."""
        self._records.quarantine_release(self.model, release, reason)
        return quarantined(self.model, release, reason)


def restore(model: str, pointer: Pointer, store: Store, records: Records) -> Move:
    """Withdraw what is live, for good, and bring back what was live before; no network is needed.

    When that is gone nothing is live, and the next look takes what the folders offer: in the end what edged was shipped with.
    """
    if pointer.active is not None:
        records.quarantine_release(model, pointer.active, pointer.reason)
    before = store.bundle(model, pointer.previous) if pointer.previous else None
    active = pointer.previous if before is not None else None
    changes = {"active": active, "previous": None, "candidate": None, "finished": True, "attempt": 0}
    return Move(Event.RESTORED if active else Event.EMPTIED, changes, before)


def quarantined(model: str, release: Release, reason: str) -> FailedError:
    """Give the error of a release that must not run."""
    message = f"cannot activate {model} {release.version}: {reason}"
    return FailedError(message, remedy="give a mended bundle another version")


STEPS: Mapping[State, Callable[[Way, Pointer], Move | Pause]] = MappingProxyType(
    {
        State.ACCEPTED: lambda way, pointer: way.begin(pointer),
        State.CHECKING: lambda way, pointer: way.check(pointer),
        State.DOWNLOADING: lambda way, pointer: way.fetch(pointer),
        State.VERIFYING: lambda way, pointer: way.take_in(pointer),
        State.STAGED: lambda way, pointer: way.present(pointer),
        State.VALIDATING: lambda way, pointer: way.try_out(pointer),
        State.SHADOWING: lambda way, pointer: way.accompany(pointer),
        State.READY: lambda way, pointer: way.wait(pointer),
        State.ACTIVATING: lambda way, pointer: way.go_live(pointer),
        State.PROBATION: lambda way, pointer: way.watch(pointer),
        State.ROLLING_BACK: lambda way, pointer: way.restore(pointer),
    }
)
"""The specification, in order: what is done in each state."""
