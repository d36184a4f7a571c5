"""The update story: a bundle appears in a folder, and in the end it is live, or the last good one still is.

desired → verified → staged → tried → active; a candidate that fails is rejected, and nothing that was live is touched
before the pointer's one atomic switch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, DeviceError, EdgedError
from edged.update.manifest import Catalogue, RefusedBundleError, find_bundles, verify
from edged.update.records import Pointer, Quarantined, Records, Release
from edged.update.rollout import Event, State, advance
from edged.update.store import Listing, Store, listing_of

TryVariant = Callable[[Bundle], str | None]
"""Runs a staged bundle's golden samples: None when it passed, or why it did not.

An EdgedError that it raises is the box's trouble and not the bundle's: the candidate is postponed, not quarantined.
"""

MAX_ATTEMPTS = 3
"""A candidate whose trial never came to an end this many times takes the box down with it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bundle that could go live, what it is made of, and why it is in quarantine (empty: it is not)."""

    bundle: Bundle
    listing: Listing
    release: Release
    held: str = ""


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
    """Brings models from folders into the store and keeps a good one live. One caller at a time, but for ``installed``."""

    def __init__(
        self,
        folders: Sequence[Path],
        store: Store,
        records: Records,
        try_variant: TryVariant,
        expected: Collection[Path] = (),
    ) -> None:
        """``folders`` hold bundles, the first before the later ones. While one of ``expected`` is gone, nothing older goes live."""
        self._folders = tuple(folders)
        self._expected = frozenset(expected)
        self._passed_over: dict[str, tuple[EdgedError, ...]] = {}
        self._store = store
        self._records = records
        self._try_variant = try_variant

    def ensure(self, model: str) -> Bundle:
        """Give the bundle that shall run, after bringing in a better one if there is one. May run at any time.

        Raises BundleError when no good bundle was ever there, or the box's own trouble when that is in the way of the
        first.
        """
        live = self._last_good(model)
        troubles: list[EdgedError] = []
        held: list[EdgedError] = []
        for candidate in self._candidates(model, live):
            if candidate.held:
                held.append(_quarantined(model, candidate.release, candidate.held))
                continue
            try:
                live = self._roll_out(model, candidate)
            except EdgedError as error:
                troubles.append(error)
            else:
                break
        self._passed_over[model] = (*held, *troubles)
        if live is None:
            raise troubles[-1] if troubles else self._nothing_found(model)
        return live

    def roll_back(self, model: str, reason: str) -> Bundle:
        """Withdraw the active release, for good, and give the one before it.

        Raises BundleError, and changes nothing, when there is none.
        """
        pointer = self._records.pointer(model)
        before = self._store.bundle(model, pointer.previous) if pointer.previous else None
        if pointer.active is None or before is None:
            message = f"cannot roll back {model!r}: no release ran before this one, expected one in the store"
            raise BundleError(message)
        self._records.quarantine_release(model, pointer.active, reason)
        self._advance(model, Event.LOST, active=pointer.previous, previous=None, candidate=None, reason=reason)
        return before

    def installed(self) -> Standing:
        """Give what is known of every model, and what keeps others from running."""
        catalogue, quarantine = find_bundles(self._folders), self._records.quarantine()
        models = sorted({*catalogue.bundles, *self._records.models()})
        described = tuple(self._describe(model, catalogue, quarantine.releases) for model in models)
        return Standing(described, catalogue.refused, dict(self._passed_over), self._gone(catalogue))

    def _gone(self, catalogue: Catalogue) -> tuple[Path, ...]:
        return tuple(folder for folder in catalogue.absent if folder in self._expected)

    def _describe(self, model: str, catalogue: Catalogue, held: Sequence[Quarantined]) -> Installed:
        found = tuple((bundle.manifest.version, bundle.folder) for bundle in catalogue.bundles.get(model, ()))
        return Installed(model, found, self._records.pointer(model), tuple(one for one in held if one.model == model))

    def _last_good(self, model: str) -> Bundle | None:
        """Give the active release, or the previous one when the disk damaged it."""
        pointer = self._records.pointer(model)
        active = self._store.bundle(model, pointer.active) if pointer.active else None
        if pointer.active is None or active is not None:
            return active
        reason = f"release {pointer.active.version} is damaged in the store"
        before = self._store.bundle(model, pointer.previous) if pointer.previous else None
        lost = Event.LOST if before else Event.EMPTIED
        active_now = pointer.previous if before else None
        # A disk that takes no note of it must not cost the release that is whole: the next start comes here again.
        with suppress(DeviceError):
            self._advance(model, lost, active=active_now, previous=None, candidate=None, reason=reason)
        return before

    def _candidates(self, model: str, live: Bundle | None) -> Iterator[Candidate]:
        """Give what is better than ``live``, best first; each is looked at only after the one before it failed."""
        quarantine, catalogue = self._records.quarantine(), find_bundles(self._folders)
        is_gone = bool(self._gone(catalogue))
        for rank, bundle in enumerate(catalogue.bundles.get(model, ())):
            if live and _is_no_better(bundle, live, is_first=not rank, is_gone=is_gone):
                return
            try:
                listing = listing_of(bundle)
            except BundleError:
                listing = Listing(name=model, version=bundle.manifest.version, files={})
            release = listing.release()
            if release == self._records.pointer(model).active:
                return
            yield Candidate(bundle, listing, release, quarantine.reason_for(release) or "")

    def _roll_out(self, model: str, candidate: Candidate) -> Bundle:
        """Bring a candidate in. Raises EdgedError when it does not go live; what was live then still is."""
        self._begin(model, candidate)
        try:
            self._verify(model, candidate)
            self._advance(model, Event.VERIFIED)
            staged = self._store.stage(candidate.bundle, candidate.listing)
            self._advance(model, Event.STORED)
            self._try(model, candidate, staged)
            self._advance(model, Event.PASSED)
        except BundleError as error:
            self._advance(model, Event.REFUSED, reason=str(error))
            raise
        except EdgedError as error:
            self._hinder(model, error)
            raise
        self._switch(model, candidate)
        return staged

    def _begin(self, model: str, candidate: Candidate) -> None:
        pointer = self._records.pointer(model)
        again = pointer.candidate == candidate.release
        attempt = pointer.attempt if again else 0
        if again and pointer.state is State.STAGED:
            attempt += 1  # the trial began and nothing wrote its end: it took edged, or the box, with it
        self._advance(model, Event.FOUND, candidate=candidate.release, attempt=attempt, reason="")

    def _verify(self, model: str, candidate: Candidate) -> None:
        # A fault here is no reason for the quarantine: somebody may be copying the folder at this moment.
        faults = verify(candidate.bundle)
        if faults:
            raise RefusedBundleError(candidate.bundle.folder, faults)
        if self._records.pointer(model).attempt >= MAX_ATTEMPTS:
            self._quarantine(model, candidate, f"its trial was interrupted {MAX_ATTEMPTS} times, expected it to end")

    def _try(self, model: str, candidate: Candidate, staged: Bundle) -> None:
        reason = self._try_variant(staged)
        if reason:
            self._quarantine(model, candidate, reason)

    def _quarantine(self, model: str, candidate: Candidate, reason: str) -> None:
        self._records.quarantine_release(model, candidate.release, reason)
        raise _quarantined(model, candidate.release, reason)

    def _hinder(self, model: str, error: EdgedError) -> None:
        # The disk that hindered it may not take the note either; the next start finds the state before it.
        with suppress(DeviceError):
            self._advance(model, Event.HINDERED, reason=str(error))

    def _switch(self, model: str, candidate: Candidate) -> None:
        before = self._records.pointer(model).active
        self._advance(model, Event.SWITCHED, active=candidate.release, previous=before, candidate=None, attempt=0)
        # Only now, with the switch on the disk, is there anything that nothing needs.
        with suppress(DeviceError):
            self._store.sweep({name: self._kept(name) for name in self._records.models()})

    def _kept(self, model: str) -> list[Release]:
        pointer = self._records.pointer(model)
        return [release for release in (pointer.active, pointer.previous) if release]

    def _advance(self, model: str, event: Event, **changes: Any) -> None:
        pointer = self._records.pointer(model)
        state = advance(pointer.state, event)
        after = pointer.model_copy(update={**changes, "state": state, "seq": pointer.seq + 1})
        subject = after.candidate or after.active
        self._records.note(
            model=model,
            event=event.value,
            state=state.value,
            seq=after.seq,
            version=subject.version if subject else None,
            digest=subject.digest if subject else None,
            reason=after.reason,
        )
        self._records.point(model, after)

    def _nothing_found(self, model: str) -> BundleError:
        places = ", ".join(str(folder) for folder in self._folders)
        held = [one.reason for one in self._records.quarantine().releases if one.model == model]
        if held:
            return BundleError(f"cannot run model {model!r}: {held[-1]}, expected a bundle that passes its trial")
        refused = find_bundles(self._folders).refused
        broken = next((error for error in refused if error.folder.name == model), None)
        return broken or BundleError(f"cannot find model {model!r}: no bundle in {places}, expected one")


def _is_no_better(bundle: Bundle, live: Bundle, *, is_first: bool, is_gone: bool) -> bool:
    """Tell whether a bundle on offer is to be left alone by its version.

    The newest on offer is what the folders' owner wants, older than the live one or not. Behind a newest that failed,
    something older than the live one is no improvement; nor is anything but a newer one while a folder is gone (a stick that
    was pulled, a share that is not mounted) that the live one may have come from.
    """
    offered, running = bundle.manifest.version_key(), live.manifest.version_key()
    return (not is_first and offered < running) or (is_gone and offered <= running)


def _quarantined(model: str, release: Release, reason: str) -> BundleError:
    message = f"cannot activate {model} {release.version}: {reason}"
    return BundleError(message, remedy="give a mended bundle another version")
