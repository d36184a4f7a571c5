"""The update story: a release is wanted, and in the end it is live, or the last good one still is.

desired → fetched → verified → staged → tried → activated → on probation → committed, or rolled back. A bundle that lies in a folder takes
the same way without the fetching and the probation. What is done in each state stands in ``edged.update.way.STEPS``, what may follow in
``edged.update.rollout.TABLE``; each transition is on the disk before anything is done about it, and nothing that was live is touched before
the pointer's one atomic switch.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, DeviceError, EdgedError
from edged.update.delivered import DeliveredWay
from edged.update.going import RETRY_S, ended_well, go, is_on_its_way, restarted, taken_up, withdrawn
from edged.update.manifest import Catalogue, RefusedBundleError
from edged.update.offered import MAX_ATTEMPTS, Candidate, OfferedWay, Offers, TryVariant
from edged.update.records import Ordered, Pointer, Quarantined, Records, Release
from edged.update.rollout import SETTLED, Event, State
from edged.update.slots import OvertakenError, Slots
from edged.update.store import Store
from edged.update.way import Pause, Way, quarantined, restore

__all__ = ["MAX_ATTEMPTS", "Installed", "Standing", "TryVariant", "Updater"]


@dataclass(frozen=True, slots=True)
class Installed:
    """A model as ``edged models`` shows it. ``found`` holds version and folder of the bundles on offer, best first."""

    model: str
    found: tuple[tuple[str, Path], ...]
    pointer: Pointer
    quarantined: tuple[Quarantined, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of every model, and what keeps others from running.

    ``refused`` are bundles that cannot be read, ``passed_over`` why a bundle on offer does not run in place of the live one, by model,
    and ``absent`` the folders that should be there and are not.
    """

    models: tuple[Installed, ...]
    refused: tuple[RefusedBundleError, ...]
    passed_over: Mapping[str, tuple[EdgedError, ...]]
    absent: tuple[Path, ...]


class Updater:
    """Brings models into the store and keeps a good one live.

    ``ensure`` and ``roll_back`` have one caller at a time, ``carry`` another one; ``installed`` may be called by anybody.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        store: Store,
        records: Records,
        try_variant: TryVariant,
        expected: Collection[Path] = (),
        boot: str = "",
    ) -> None:
        """``folders`` hold bundles, the first before the later ones; ``expected`` shall be there. ``boot`` is this boot's id."""
        self._offers = Offers(folders, records, expected)
        self._passed_over: dict[str, tuple[EdgedError, ...]] = {}
        self._store = store
        self._records = records
        self._try_variant = try_variant
        self._boot = boot
        self._recovered: set[str] = set()
        self._recovering = threading.Lock()
        self.slots = Slots(records)

    def ensure(self, model: str) -> Bundle:
        """Give the bundle that shall run, after bringing in a better one from the folders if there is one. May run at any time.

        As long as an order is in force, a folder is only looked into when nothing else is left to run.

        Raises BundleError when no good bundle was ever there, or the box's own trouble when that is in the way of the
        first.
        """
        with suppress(DeviceError):  # a disk that takes no note must not cost the release that runs
            self.recover(model)
        live = self._last_good(model)
        if live is not None and self.slots.pointer(model).order is not None:
            self._passed_over[model] = ()
            return live
        return self._best_offered(model, live)

    def carry(self, way: DeliveredWay) -> Pause:
        """Bring an ordered release as far as it goes now, and say when to go on. May run at any time, and goes on where it was.

        Raises DeviceError when the disk takes no note; nothing has changed then.
        """
        self.recover(way.model)
        try:
            return self._go(way, taken_up(self.slots, way.model, way.order))
        except OvertakenError as error:
            return Pause(RETRY_S, str(error))

    def is_on_its_way(self, model: str, order: Ordered) -> bool:
        """Whether there is nothing to take up: the order has the slot, or something is just going live."""
        return is_on_its_way(self.slots.pointer(model), order)

    def take_up(self, model: str, order: Ordered) -> None:
        """Note that an order is in force now, if nothing is just going live; while nobody else brings models in."""
        self.recover(model)
        taken_up(self.slots, model, order)

    def withdraw(self, model: str) -> bool:
        """Let the folders' offers count again; False when a release that goes live or is on probation has to come to its end before."""
        self.recover(model)
        return withdrawn(self.slots, model)

    def roll_back(self, model: str, reason: str) -> Bundle:
        """Withdraw the active release, for good, and give the one before it.

        Raises BundleError, and changes nothing, when there is none.
        """
        pointer = self.slots.pointer(model)
        before = self._store.bundle(model, pointer.previous) if pointer.previous else None
        if pointer.active is None or before is None:
            message = f"cannot roll back {model!r}: no release ran before this one, expected one in the store"
            raise BundleError(message)
        self._restore(model, self.slots.advance(model, Event.CONDEMNED, reason=reason, code="withdrawn"))
        return before

    def recover(self, model: str) -> None:
        """Take up what a crash or a power cut interrupted while a release went live; once, before anything of the model runs.

        A release whose edged ended ``MAX_ATTEMPTS`` times during its probation without being asked to is rolled back. A power cut is no
        such end: the boot is another.
        """
        with self._recovering:
            if model in self._recovered:
                return
            pointer = restarted(self.slots, model, self._boot)
            if pointer.state is State.ROLLING_BACK:
                self._restore(model, pointer)
            self._recovered.add(model)

    def models(self) -> list[str]:
        """Names of the models that have a slot."""
        return self._records.models()

    def ended_well(self) -> None:
        """Note that edged ends because it was asked to: no release in probation is to blame for that."""
        for model in self._records.models():
            ended_well(self.slots, model)

    def installed(self) -> Standing:
        """Give what is known of every model, and what keeps others from running."""
        catalogue, quarantine = self._offers.catalogue(), self._records.quarantine()
        models = sorted({*catalogue.bundles, *self._records.models()})
        described = tuple(self._describe(model, catalogue, quarantine.releases) for model in models)
        return Standing(described, catalogue.refused, dict(self._passed_over), self._offers.gone(catalogue))

    def _describe(self, model: str, catalogue: Catalogue, held: Sequence[Quarantined]) -> Installed:
        found = tuple((bundle.manifest.version, bundle.folder) for bundle in catalogue.bundles.get(model, ()))
        return Installed(model, found, self._records.pointer(model), tuple(one for one in held if one.model == model))

    # -- what lies in folders

    def _best_offered(self, model: str, live: Bundle | None) -> Bundle:
        troubles: list[EdgedError] = []
        held: list[EdgedError] = []
        for candidate in self._offers.candidates(model, live):
            if candidate.held:
                held.append(quarantined(model, candidate.release, candidate.held))
                continue
            try:
                live = self._roll_out(model, candidate)
            except EdgedError as error:
                troubles.append(error)
            else:
                break
        self._passed_over[model] = (*held, *troubles)
        if live is None:
            raise troubles[-1] if troubles else self._offers.nothing_found(model)
        return live

    def _roll_out(self, model: str, candidate: Candidate) -> Bundle:
        """Bring a candidate in. Raises EdgedError when it does not go live; what was live then still is."""
        pointer = self.slots.pointer(model)
        again = pointer.candidate is not None and pointer.candidate.digest == candidate.release.digest
        attempt = pointer.attempt if again else 0
        if again and pointer.state is State.VALIDATING:
            attempt += 1  # the trial began and nothing wrote its end: it took edged, or the box, with it
        pointer = self.slots.advance(model, Event.FOUND, candidate=candidate.release, attempt=attempt)
        way = OfferedWay(model, candidate, self._store, self._records, self._try_variant)
        try:
            self._go(way, pointer)
        except DeviceError:
            # The disk that hindered it may not take the note either; the next start finds the state before it.
            if way.error is None:
                raise
        if way.error is not None:
            raise way.error
        return way.staged

    # -- any candidate

    def _go(self, way: Way, pointer: Pointer) -> Pause:
        pause = go(self.slots, way, pointer)
        pointer = self.slots.pointer(way.model)
        if pointer.state is State.COMMITTED:
            self._sweep()
        elif pointer.state in SETTLED and pointer.wanted is None:
            self._clear()
        return pause

    def _restore(self, model: str, pointer: Pointer) -> None:
        move = restore(model, pointer, self._store, self._records)
        self.slots.advance(model, move.event, since=pointer, live=move.live, **move.changes)

    def _last_good(self, model: str) -> Bundle | None:
        """Give the active release, or the previous one when the disk damaged it."""
        pointer = self._records.pointer(model)
        active = self._store.bundle(model, pointer.active) if pointer.active else None
        if pointer.active is None or active is not None:
            return active
        reason = f"release {pointer.active.version} is damaged in the store"
        before = self._store.bundle(model, pointer.previous) if pointer.previous else None
        lost = Event.LOST if before else Event.EMPTIED
        changes: dict[str, Any] = {"active": pointer.previous if before else None, "previous": None, "candidate": None}
        # A disk that takes no note of it must not cost the release that is whole: the next start comes here again. An order is
        # taken up again: what it names is good, and what lay here was not.
        with suppress(DeviceError):
            self.slots.advance(model, lost, live=before, reason=reason, code="damaged", finished=False, **changes)
        return before

    # -- what nobody needs any more

    def _sweep(self) -> None:
        """Remove it, now that the switch is on the disk; never while another candidate is on its way."""
        with self._store.turn, suppress(DeviceError):
            pointers = {name: self._records.pointer(name) for name in self._records.models()}
            if all(pointer.state in SETTLED for pointer in pointers.values()):
                self._store.sweep({name: _kept(pointer) for name, pointer in pointers.items()})
        self._clear()

    def _clear(self) -> None:
        """Remove what came in and was refused; what an order waits with stays, and what came of a download has its own time."""
        with self._store.turn, suppress(DeviceError):
            pointers = [self._records.pointer(name) for name in self._records.models()]
            if all(pointer.state in SETTLED for pointer in pointers):
                self._store.clear({pointer.wanted.sha256 for pointer in pointers if pointer.wanted is not None})


def _kept(pointer: Pointer) -> list[Release]:
    """Give what a slot needs: what an order waits with (for the network, for an engine) is not made twice."""
    waiting = pointer.candidate if pointer.wanted is not None else None
    return [release for release in (pointer.active, pointer.previous, waiting) if release]
