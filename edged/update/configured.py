"""The way of an ordered configuration: by the same states as a model, checked in place of tried, and watched when it is in force."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.config.ordered import SLOT, fragment
from edged.domain.errors import BundleError, EdgedError, RejectedError
from edged.domain.ports import Clock
from edged.update.desired import Desired
from edged.update.disk import Disk
from edged.update.probation import Verdict
from edged.update.records import Ordered, Pointer, Records, Release, folder_on_disk, replace_file
from edged.update.rollout import Event
from edged.update.store import Store
from edged.update.way import Move, Pause, Way

LOOK_S = 1.0
PROBATION_S = 300
"""A link that flaps, or a broker that restarts, is back within five minutes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """This box, as an ordered configuration meets it.

    ``check`` gives why a file cannot be used; ``waits_for`` why nothing may change now; ``note`` keeps what ``watch`` will have to know of
    the box as it was, durably; ``watch`` judges what is in force, by the seconds that it is.
    """

    check: Callable[[Path], str | None]
    waits_for: Callable[[], str | None]
    note: Callable[[], None]
    watch: Callable[[float], Verdict]


def ordered_configuration(desired: Desired) -> Ordered:
    """Give the order of a document's configuration as a slot keeps it."""
    content = (desired.configuration or "").encode()
    digest = hashlib.sha256(content).hexdigest()
    return Ordered(
        document=desired.digest,
        audience=str(desired.audience),
        seq=desired.seq,
        campaign=desired.campaign,
        by=desired.by,
        version=str(desired.seq),
        target="configuration.toml",
        sha256=digest,
        length=len(content),
        probation_s=PROBATION_S,
        min_inferences=0,
    )


class ConfiguredWay(Way):
    """One configuration on its way."""

    def __init__(
        self,
        order: Ordered,
        text: str,
        settings: Settings,
        store: Store,
        records: Records,
        disk: Disk,
        clock: Clock,
        boot: str,
    ) -> None:
        super().__init__(SLOT, store, records)
        self.order = order
        self._text, self._settings, self._disk, self._clock, self._boot = text, settings, disk, clock, boot
        self._file = fragment(store.directory, order.sha256)
        self._since_ns = clock.monotonic_ns()

    def check(self, pointer: Pointer) -> Move | Pause:
        """Refuse what did harm before."""
        held = self._records.quarantine().reason_for_target(self.order.sha256)
        if held is not None:
            message = f"cannot use the ordered configuration: it is in quarantine, {held}"
            raise RejectedError(message, remedy="order a mended one", code="quarantined")
        if pointer.active is not None and pointer.active.target == self.order.sha256:
            return Move(Event.LIVE_ALREADY, {"finished": True, "candidate": None})
        return Move(Event.AT_HAND)

    def take_in(self, _pointer: Pointer) -> Move | Pause:
        """Write it down."""
        digest = self.order.sha256
        folder_on_disk(self._disk, self._file.parent)
        replace_file(self._disk, self._file, self._text.encode())
        return Move(Event.STORED, {"candidate": Release(digest=digest, version=self.order.version, target=digest)})

    def try_out(self, _pointer: Pointer) -> Move | Pause:
        """Read it as the daemon would."""
        why = self._settings.check(self._file)
        if why is not None:
            message = f"cannot use the ordered configuration: {why}"
            raise RejectedError(message, remedy="order a mended one", code="config")
        return Move(Event.PASSED)

    def wait(self, _pointer: Pointer) -> Move | Pause:
        """Wait for the window and for a clock that is right."""
        why = self._settings.waits_for()
        return Pause(LOOK_S, why) if why else Move(Event.OPENED)

    def go_live(self, pointer: Pointer) -> Move | Pause:
        """Note how the box does, switch, and watch from now on."""
        self._settings.note()
        self._since_ns = self._clock.monotonic_ns()
        changes = {"active": pointer.candidate, "previous": pointer.active, "candidate": None, "attempt": 0}
        return Move(Event.SWITCHED, {**changes, "boot_id": self._boot})

    def watch(self, _pointer: Pointer) -> Move | Pause:
        """Look how the box does on it."""
        verdict = self._settings.watch((self._clock.monotonic_ns() - self._since_ns) / 1e9)
        if verdict.what == "roll-back":
            return Move(Event.CONDEMNED, {"reason": verdict.reason, "code": "probation"})
        return Move(Event.KEPT, {"finished": True, "attempt": 0}) if verdict.what == "commit" else Pause(LOOK_S)

    def restore(self, pointer: Pointer) -> Move | Pause:
        """Bring back what was in force before."""
        return restored(pointer, self._records)

    def failure(self, error: EdgedError) -> Move | Pause:
        """Tell what must not be used from a disk that takes nothing now."""
        is_its_own = isinstance(error, BundleError)
        event = Event.REFUSED if is_its_own else Event.FAILED
        return Move(event, {"reason": str(error), "code": error.code, "finished": is_its_own})


def restored(pointer: Pointer, records: Records) -> Move:
    """Withdraw what is in force, for good, and bring back what was before: an earlier order, or none."""
    if pointer.active is not None:
        records.quarantine_release(SLOT, pointer.active, pointer.reason)
    changes = {"active": pointer.previous, "previous": None, "candidate": None, "finished": True, "attempt": 0}
    return Move(Event.RESTORED, changes)
