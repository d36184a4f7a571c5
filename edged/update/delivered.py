"""The way of a release that was ordered: fetched, verified, tried, activated in its window, watched, and committed or rolled back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edged.domain.artefact import VerifiedArtefact
from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, DeviceError, EdgedError, RejectedError, RetryableError
from edged.domain.ports import Clock
from edged.update.desired import Order
from edged.update.disk import Disk
from edged.update.manifest import RefusedBundleError, read_bundle, verify
from edged.update.offered import MAX_ATTEMPTS
from edged.update.ports import Probation, Shadow, Site
from edged.update.records import Ordered, Pointer, Records, Release, folder_on_disk
from edged.update.rollout import Event
from edged.update.slots import StateLoopError
from edged.update.store import INCOMING, Listing, Store, is_unread, listing_of
from edged.update.way import FailedError, Move, Pause, Way, quarantined

RESERVE_BYTES = 64 * 1024**2
"""What a download leaves to everything else on the disk: the outbox, the journal, a rollback."""
COPIES = 3
"""Of the file's length: the file itself, unpacked, and in the store."""
LOOK_S = 1.0
"""How often a release in probation is looked at, and whether the window is open."""
CANCELLED = "cancelled"
SHADOW = "shadow"


def ordered(order: Order) -> Ordered:
    """Give an order as a slot keeps it. The order must name a release."""
    wanted, source = order.wanted, order.source
    if wanted is None:
        message = "cannot keep an order for no release, expected one that names a file"
        raise ValueError(message)
    given = {name: getattr(wanted, name) for name in Ordered.model_fields if hasattr(wanted, name)}
    return Ordered(
        document=source.digest,
        audience=str(source.audience),
        seq=source.seq,
        campaign=source.campaign,
        by=source.by,
        **given,
    )


class DeliveredWay(Way):
    """One order on its way. What only this process knows (the fetched file, since when it is live) is found anew after a restart."""

    def __init__(
        self,
        model: str,
        order: Ordered,
        site: Site,
        store: Store,
        records: Records,
        disk: Disk,
        clock: Clock,
        boot: str,
    ) -> None:
        super().__init__(model, store, records)
        self.order = order
        self._site, self._disk, self._clock, self._boot = site, disk, clock, boot
        self._incoming = store.directory / INCOMING
        self._artefact: VerifiedArtefact | None = None
        self._bundle: Bundle | None = None
        self._tries = False
        self._since_ns = clock.monotonic_ns()
        self._shown = False

    def check(self, pointer: Pointer) -> Move | Pause:
        """Refuse what is in quarantine unless it is forced, or has no room; what is here already is not fetched again."""
        order = self.order
        held = self._records.quarantine().reason_for_target(order.sha256)
        if held is not None and not order.force:
            message = f"cannot activate {self.model} {order.version}: it is in quarantine, {held}"
            raise RejectedError(
                message, remedy="order a mended bundle, or sign an order with force", code="quarantined"
            )
        if pointer.attempt >= MAX_ATTEMPTS:
            what = "its trial, or its run in shadow," if self.order.shadow_one_in else "its trial"
            reason = f"{what} was interrupted {MAX_ATTEMPTS} times, expected it to end"
            raise self.condemn(self._release(pointer), reason)
        if self._stored(pointer.active) is not None:
            return Move(Event.LIVE_ALREADY, {"finished": True, "candidate": None})
        if self._stored(pointer.candidate) is not None:
            return Move(Event.AT_HAND)
        self._make_room()
        return Move(Event.NEEDED)

    def fetch(self, _pointer: Pointer) -> Move | Pause:
        """Fetch it; what came before an interruption is not fetched again."""
        site, order = self._site, self.order
        self._artefact = site.fetch(
            self.model, order, lambda done, total: site.progress(self.model, done, total), site.cancelled
        )
        return Move(Event.FETCHED) if self._artefact is not None else Pause(LOOK_S, "it is being fetched")

    def take_in(self, pointer: Pointer) -> Move | Pause:
        """Unpack what was fetched, hold it against its manifest and the order, and keep it."""
        if pointer.candidate is not None and self._stored(pointer.candidate) is not None:
            self._refuse_held(pointer.candidate)
            return Move(Event.STORED)
        artefact, folder = self._artefact, self._incoming / f"{self.order.sha256}.files"
        if artefact is None:
            return Move(Event.ORDERED)
        release = self._site.apart(f"take-{self.model}", artefact, lambda: self._taken(artefact.path, folder))
        if release is None:
            return Pause(LOOK_S, "it is unpacked and kept")
        self._disk.remove(folder)
        self._disk.remove(artefact.path)
        self._artefact = None
        return Move(Event.STORED, {"candidate": release})

    def try_out(self, pointer: Pointer) -> Move | Pause:
        """Try it; one whose last trial wrote no end begins again, and not for ever."""
        staged = self._staged(pointer)
        if staged is None:
            return Move(Event.ORDERED)
        if not self._tries:
            return self._begun_anew(pointer)
        trial = self._site.trial(staged)
        if trial is None:
            return Pause(LOOK_S, "it is on trial")
        if not trial.passed:
            raise self.condemn(self._release(pointer), trial.reason)
        # Beside what is live it may still take the box with it: until that is over the count goes on.
        return Move(Event.PAIRED) if self.order.shadow_one_in else Move(Event.PASSED, {"attempt": 0})

    def accompany(self, pointer: Pointer) -> Move | Pause:
        """Run it beside what is live until they were compared often enough.

        That it answers otherwise is no fault; that it dies is, and so is that edged did: that counts as in the trial.
        """
        staged = self._staged(pointer)
        if staged is None:
            return Move(Event.ORDERED)
        if not self._tries:
            return self._begun_anew(pointer)
        ruling = self._site.shadow(Shadow(self.model, self.order, staged))
        if ruling.what == "condemn":
            raise self.condemn(self._release(pointer), ruling.reason)
        if ruling.what == "refuse":
            message = f"cannot activate {self.model} {self.order.version}: {ruling.reason}"
            raise FailedError(message, remedy="look at what differs; order it with another agreement", code=SHADOW)
        if ruling.what == "compare":
            return Pause(LOOK_S, ruling.reason)
        return Move(Event.AGREED, {"reason": ruling.reason, "attempt": 0})

    def present(self, _pointer: Pointer) -> Move | Pause:
        """Take it to its trial."""
        self._tries, self._bundle = True, None
        return Move(Event.TRYING, {"boot_id": self._boot})

    def wait(self, pointer: Pointer) -> Move | Pause:
        """Wait for the window and for a clock that is right."""
        if self._staged(pointer) is None:
            return Move(Event.ORDERED)
        why = self._site.waits_for()
        if why is None and self._site.cancelled():
            return Pause(LOOK_S, "a later word came")  # it may take a while to be judged
        return Pause(LOOK_S, why) if why else Move(Event.OPENED, {"reason": ""})

    def go_live(self, pointer: Pointer) -> Move | Pause:
        """Switch, and watch from now on."""
        staged = self._staged(pointer)
        if staged is None:
            return Move(Event.ORDERED)
        self._since_ns, self._shown = self._clock.monotonic_ns(), False
        changes = {"active": pointer.candidate, "previous": pointer.active, "candidate": None, "attempt": 0}
        return Move(Event.SWITCHED, {**changes, "boot_id": self._boot}, staged)

    def watch(self, pointer: Pointer) -> Move | Pause:
        """Have it run, then look how it does until it is committed or condemned."""
        active = pointer.active or self._release(pointer)
        why = None if self._shown else self._site.activate(self.model, active)
        if why is not None:
            return _condemned(f"it does not run here: {why}", "activation")
        self._shown = True
        running_s = (self._clock.monotonic_ns() - self._since_ns) / 1e9
        verdict = self._site.watch(Probation(self.model, self.order, active, pointer.previous, running_s))
        if verdict.what == "roll-back":
            return _condemned(verdict.reason, "probation")
        if verdict.what == "commit":
            return Move(Event.KEPT, {"finished": True, "attempt": 0, "reason": verdict.reason})
        return Pause(LOOK_S)

    def failure(self, error: EdgedError) -> Move | Pause:
        """Tell a release that must not run from a box or a network that cannot now."""
        told: dict[str, Any] = {"reason": str(error), "code": error.code}
        if isinstance(error, RetryableError) and error.code == CANCELLED:
            return Pause(0.0, "a later word came")
        if isinstance(error, RetryableError) or (isinstance(error, DeviceError) and error.code == "disk"):
            return Move(Event.FAILED, told)
        if isinstance(error, FailedError | StateLoopError):
            return Move(Event.FAILED, {**told, "finished": True})
        if isinstance(error, BundleError):
            return Move(Event.REFUSED, {**told, "finished": True})
        return Move(Event.HINDERED, told)

    def _make_room(self) -> None:
        needed = COPIES * self.order.length + RESERVE_BYTES
        free = self._site.free_bytes()
        if free < needed:
            # Downloads that were called off wait two weeks for whoever orders them again: not where that costs another one its room.
            waiting = (self._records.pointer(name).wanted for name in self._records.models())
            self._store.clear({self.order.sha256, *(one.sha256 for one in waiting if one is not None)}, parts=True)
            free = self._site.free_bytes()
        if free < needed:
            message = f"cannot fetch {self.order.target}: {free} bytes are free, expected {needed}"
            raise RetryableError(message, remedy="make room on the disk of [state] directory", code="disk-full")

    def _taken(self, file: Path, folder: Path) -> Release:
        """Unpack a file, and keep what is in it."""
        bundle, listing = self._surely_read(file, folder)
        release = listing.release().model_copy(update={"target": self.order.sha256})
        self._refuse_held(release)
        self._store.stage(bundle, listing)
        return release

    def _surely_read(self, file: Path, folder: Path) -> tuple[Bundle, Listing]:
        """Unpack it and read it; twice before it is blamed, for its digest is the signed one: a disk that fails must not cost the order."""
        try:
            return self._read(file, folder)
        except BundleError as error:
            first = error
        try:
            return self._read(file, folder)
        except BundleError as error:
            if str(error) == str(first) and not is_unread(error):
                raise
            message = f"cannot read {self.order.target} as it was unpacked: {error.args[0]}"
            raise DeviceError(message, code="disk") from error

    def _read(self, file: Path, folder: Path) -> tuple[Bundle, Listing]:
        self._unpack(file, folder)
        bundle = self._promised(folder)
        return bundle, listing_of(bundle)

    def _unpack(self, file: Path, folder: Path) -> None:
        self._disk.remove(folder)
        folder_on_disk(self._disk, folder)
        try:
            self._site.unpack(file, folder)
        except BundleError as error:
            if isinstance(error.__cause__, OSError):
                # Its digest is the signed one: it is the disk that does not take it.
                raise DeviceError(str(error.args[0]), code="disk") from error
            raise

    def _promised(self, folder: Path) -> Bundle:
        """Read what was unpacked. Raises RefusedBundleError when it is not what the order names."""
        bundle = read_bundle(folder)
        found, wanted = (bundle.manifest.name, bundle.manifest.version), (self.model, self.order.version)
        faults = verify(bundle) if found == wanted else [f"it is {' '.join(found)}, expected {' '.join(wanted)}"]
        if faults:
            raise RefusedBundleError(Path(self.order.target), faults)
        return bundle

    def _refuse_held(self, release: Release) -> None:
        held = self._records.quarantine().reason_for(release)
        if held is not None and not self.order.force:
            raise quarantined(self.model, release, held)

    def _begun_anew(self, pointer: Pointer) -> Move:
        """Go back to the beginning after a start: whatever ran did not come to its end.

        After a power cut the boot is another, after an end that was asked for there is none: the release is not to blame then.
        """
        return Move(Event.ORDERED, {"attempt": pointer.attempt + (pointer.boot_id == self._boot)})

    def _release(self, pointer: Pointer) -> Release:
        """Give what is to be blamed: the release, or the file where it was never unpacked."""
        unknown = Release(digest=self.order.sha256, version=self.order.version, target=self.order.sha256)
        return pointer.candidate or unknown

    def _stored(self, release: Release | None) -> Bundle | None:
        """Give a stored release if it is what was ordered."""
        return self._store.bundle(self.model, release) if release and release.target == self.order.sha256 else None

    def _staged(self, pointer: Pointer) -> Bundle | None:
        """Give the candidate as it lies in the store. Read once: hashing 100 MB takes half a second, and a window may be hours away."""
        if self._bundle is None:
            self._bundle = self._stored(pointer.candidate)
        return self._bundle


def _condemned(reason: str, code: str) -> Move:
    return Move(Event.CONDEMNED, {"reason": reason, "code": code})
