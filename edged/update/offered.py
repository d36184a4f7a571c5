"""Bundles that lie in the box's folders: which of them is wanted, and the way of one that is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, EdgedError
from edged.update.manifest import Catalogue, RefusedBundleError, find_bundles, verify
from edged.update.records import Pointer, Records, Release
from edged.update.rollout import Event
from edged.update.store import Listing, Store, listing_of
from edged.update.way import FailedError, Move, Pause, Way

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


class Offers:
    """What the folders offer. ``folders`` hold bundles, the first before the later ones."""

    def __init__(self, folders: Sequence[Path], records: Records, expected: Collection[Path] = ()) -> None:
        """While one of ``expected`` is gone, nothing older goes live."""
        self._folders = tuple(folders)
        self._records = records
        self._expected = frozenset(expected)

    def catalogue(self) -> Catalogue:
        """Give every bundle that lies there."""
        return find_bundles(self._folders)

    def gone(self, catalogue: Catalogue) -> tuple[Path, ...]:
        """Give the folders that should be there and are not."""
        return tuple(folder for folder in catalogue.absent if folder in self._expected)

    def candidates(self, model: str, live: Bundle | None) -> Iterator[Candidate]:
        """Give what is better than ``live``, best first; each is looked at only after the one before it failed."""
        quarantine, catalogue = self._records.quarantine(), self.catalogue()
        active = self._records.pointer(model).active
        is_gone = bool(self.gone(catalogue))
        for rank, bundle in enumerate(catalogue.bundles.get(model, ())):
            if live and _is_no_better(bundle, live, is_first=not rank, is_gone=is_gone):
                return
            try:
                listing = listing_of(bundle)
            except BundleError:
                listing = Listing(name=model, version=bundle.manifest.version, files={})
            release = listing.release()
            if active is not None and release.digest == active.digest:
                return
            yield Candidate(bundle, listing, release, quarantine.reason_for(release) or "")

    def nothing_found(self, model: str) -> BundleError:
        """Say why there is no bundle of this name."""
        places = ", ".join(str(folder) for folder in self._folders)
        held = [one.reason for one in self._records.quarantine().releases if one.model == model]
        if held:
            return BundleError(f"cannot run model {model!r}: {held[-1]}, expected a bundle that passes its trial")
        broken = next((error for error in self.catalogue().refused if error.folder.name == model), None)
        return broken or BundleError(f"cannot find model {model!r}: no bundle in {places}, expected one")


class OfferedWay(Way):
    """The way of a bundle from a folder: nothing to fetch, and no probation."""

    def __init__(self, model: str, candidate: Candidate, store: Store, records: Records, try_it: TryVariant) -> None:
        super().__init__(model, store, records)
        self._candidate = candidate
        self._try = try_it
        self.staged = candidate.bundle
        """As it lies in the store, from its taking in on."""
        self.error: EdgedError | None = None
        """Why it did not go live; None as long as nothing went wrong."""

    def check(self, pointer: Pointer) -> Move | Pause:
        """Refuse what never comes through its trial."""
        if pointer.attempt >= MAX_ATTEMPTS:
            reason = f"its trial was interrupted {MAX_ATTEMPTS} times, expected it to end"
            raise self.condemn(self._candidate.release, reason)
        return Move(Event.AT_HAND)

    def take_in(self, _pointer: Pointer) -> Move | Pause:
        """Verify the folder's files and copy them. A fault is no reason for the quarantine: somebody may be copying at this moment."""
        bundle = self._candidate.bundle
        faults = verify(bundle)
        if faults:
            raise RefusedBundleError(bundle.folder, faults)
        self.staged = self._store.stage(bundle, self._candidate.listing)
        return Move(Event.STORED)

    def try_out(self, _pointer: Pointer) -> Move | Pause:
        """Run its golden samples."""
        reason = self._try(self.staged)
        if reason:
            raise self.condemn(self._candidate.release, reason)
        return Move(Event.PASSED)

    def go_live(self, pointer: Pointer) -> Move | Pause:
        """Switch, for good."""
        release = self._candidate.release
        changes = {"active": release, "previous": pointer.active, "candidate": None, "attempt": 0}
        return Move(Event.KEPT, changes, self.staged)

    def failure(self, error: EdgedError) -> Move | Pause:
        """Blame the bundle for its own faults only; the error goes on to who asked for the model."""
        self.error = error
        blamed = Event.FAILED if isinstance(error, FailedError) else Event.REFUSED
        event = blamed if isinstance(error, BundleError) else Event.HINDERED
        return Move(event, {"reason": str(error), "code": error.code})


def _is_no_better(bundle: Bundle, live: Bundle, *, is_first: bool, is_gone: bool) -> bool:
    """Tell whether a bundle on offer is to be left alone by its version.

    The newest on offer is what the folders' owner wants, older than the live one or not. Behind a newest that failed,
    something older than the live one is no improvement; nor is anything but a newer one while a folder is gone (a stick that
    was pulled, a share that is not mounted) that the live one may have come from.
    """
    offered, running = bundle.manifest.version_key(), live.manifest.version_key()
    return (not is_first and offered < running) or (is_gone and offered <= running)
