"""Models for pipelines: brought in, tried, and opened; one at a time, since they share the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edged.assembly.box import Box, free_mb, ladder, own_mb
from edged.assembly.models import Opened, open_best, open_rung, try_bundle
from edged.assembly.uses import USUAL, Use
from edged.config.schema import Objective
from edged.control.descent import NOTHING_LESS, Less, descend
from edged.control.fallback import Way, way_of
from edged.domain.bundle import Bundle
from edged.domain.errors import BudgetError, BundleError, DeviceError, EdgedError, EngineLostError
from edged.domain.ports import Clock
from edged.domain.variant import Identity, Ladder, Rung
from edged.hardware import heap
from edged.telemetry import logs
from edged.update.delivered import DeliveredWay
from edged.update.disk import LocalDisk
from edged.update.manifest import find_bundles, verify
from edged.update.ports import Site
from edged.update.records import Ordered, Records, Release
from edged.update.store import Store
from edged.update.updater import Standing, Updater

TURN_S = 1.0
Waits = Callable[[], None]
"""Called every second while others have their turn, and when the own begins: a box with many models takes minutes to try them all."""

_LOG = logging.getLogger("edged.supply")


class BusyError(EdgedError):
    """Others have their turn, which may take minutes: ask again."""

    code = "busy"


class Supply:
    """Gives pipelines the best model that this box runs. Thread-safe."""

    def __init__(
        self,
        folders: tuple[Path, ...],
        state: Path,
        box: Box,
        clock: Clock,
        expected: tuple[Path, ...] = (),
        boot: str = "",
    ) -> None:
        """``expected`` are those of ``folders`` that should be there: while one is gone, nothing older goes live.

        ``boot`` is this boot's id.
        """
        self._disk = LocalDisk()
        self._folders = folders
        self._box = box
        self._clock, self._boot = clock, boot
        self.store, self.records = Store(state, self._disk), Records(state, self._disk, clock)
        self.updater = Updater(folders, self.store, self.records, self._try, expected, boot)
        self.uses: Callable[[str], Sequence[Use]] = lambda _model: USUAL
        """How pipelines use a model, the most important first: each rung that one of them would run is tried."""
        self._tried: Opened | None = None
        self._lock = threading.Lock()
        self._opens = 0
        self._rungs: dict[tuple[str, str | None, Objective | None], Identity] = {}
        self._wants: dict[tuple[str, str | None, Objective | None], Identity] = {}
        """The rungs that others stand in for until they run again."""
        self._bundles: dict[str, Bundle] = {}
        self.looks = 0
        """Counts how often a model was looked for: what is told of the models holds until the next look."""

    def bundle(self, model: str, waits: Waits = lambda: None) -> Bundle:
        """Give the bundle that shall run; brings in a better one first if there is one."""
        with self._turn(waits):
            return self._look(model)

    def open(
        self,
        model: str,
        pin: str | None,
        waits: Waits = lambda: None,
        objective: Objective | None = None,
        running: Identity | None = None,
        less: Less = NOTHING_LESS,
    ) -> Opened:
        """Give a model that is ready to run: the one that was just tried, if it is the one that is chosen, or a new one.

        ``running`` is the rung whose place it will take, ``less`` how far below the chosen one it shall be.
        """
        # In one turn: between two of them another pipeline could take, or replace, what was just tried for this one.
        with self._turn(waits):
            bundle = self._look(model)
            running = self._wants.get((model, pin, objective), running)
            tried = self._take_tried(bundle, pin, objective, running, less)
        opened = tried or open_best(bundle, self._box, pin, objective, running, less)
        # What runs for a while, since the box suffers, is no choice that later ones are held against.
        chosen = opened.rungs[0] if less and opened.rungs else opened.rung
        self._rungs[model, pin, objective] = opened.wanted or chosen.identity
        self._want(opened, (model, pin, objective))
        self._opens += 1
        self._bundles[model] = bundle
        # What reading, trying and preparing the model took besides the model itself is free now, and needed by no frame.
        heap.drop_file_pages(opened.file.resolve())
        heap.trim()
        return opened

    def open_rung(self, bundle: Bundle, rung: Rung, rungs: tuple[Rung, ...]) -> Opened:
        """Open just this rung of a bundle that runs already; raises EdgedError when it does not open.

        In no turn: what relieves a box must not wait until another model was tried.
        """
        lost = self._box.lost
        try:
            model = open_rung(bundle, rung, self._box.engines)
        except (BundleError, DeviceError) as error:
            name = bundle.manifest.name
            logs.event(_LOG, "rung.failed", level=logging.WARNING, model=name, variant=rung.variant.id, error=error)
            if lost is not None and self._box.engines.isolates(rung):
                lost.failed(rung, error)
            raise
        if lost is not None:
            lost.opened(rung)
        logs.event(_LOG, "rung.opened", model=bundle.manifest.name, variant=rung.variant.id, threads=rung.threads)
        opened = Opened(model, bundle, bundle.input_of(rung.variant), "", rung, rungs=rungs)
        heap.drop_file_pages(opened.file.resolve())
        return opened

    def better(
        self, bundle: Bundle, pin: str | None, objective: Objective | None, rungs: Sequence[Rung], whole: Ladder
    ) -> tuple[Opened | None, str]:
        """Open the first of ``rungs`` that opens, all of which are better than what runs; with why others do not.

        What runs is not opened a second time, as it would be at the end of a ladder.
        """
        key = bundle.manifest.name, pin, objective
        failed: dict[Way, str] = {}
        for rung in rungs:
            if way_of(rung) in failed:
                # What does not open does not open with another number of threads.
                continue
            try:
                opened = self.open_rung(bundle, rung, whole.runnable)
            except (BundleError, DeviceError) as error:
                failed[way_of(rung)] = f"{rung.variant.id} on {rung.accelerator}: {error}"
                continue
            if not whole.held:
                self._wants.pop(key, None)
            wanted = self._wants.get(key) or (rungs[0].identity if failed else None)
            later = rung.reason if rung.standing == "misses" else ""
            unmet = whole.unmet if rung.verdict == "chosen" else later
            opened = replace(opened, wanted=wanted, passed_over=_listed(whole, failed), unmet=unmet)
            # As in ``open``: what runs for a while, since the box suffers, is not what later ones are held against.
            self._rungs[key] = wanted or whole.runnable[0].identity
            self._want(opened, key)
            self._opens += 1
            return opened, ""
        return None, _listed(whole, failed)

    def shared_threads(self, opened: Opened) -> int | None:
        """Give the number of threads with which others in this process run the same file, where one session serves them all."""
        return self._box.engines.shares.others(opened.file, opened.rung.accelerator, opened.rung.threads)

    def has_room(self, rung: Rung) -> bool:
        """Whether the memory holds this rung beside what runs; what nobody measured is tried."""
        room_mb = free_mb(self._box)
        return rung.figures is None or room_mb is None or rung.figures.peak_memory_mb <= room_mb

    def goes_first(self, opened: Opened, rung: Rung) -> bool:
        """Whether what runs has to go before this rung is opened. Raises BudgetError where that would give no memory back."""
        if self.has_room(rung):
            return False
        if not self.frees(opened):
            told = f"{rung.variant.id} on {rung.threads} threads"
            message = f"cannot go on with {told}: memory has no room for it beside what others run"
            raise BudgetError(message)
        return True

    def makes_way(self, bundle: Bundle, pin: str | None, objective: Objective | None, opened: Opened | None) -> bool:
        """Whether what runs has to go before another release of its model is opened: memory holds one alone, and gets the other's back.

        What nobody measured yet is judged by the size of its file: a release that is new to the box has no figures.
        """
        room_mb = free_mb(self._box)
        if opened is None or room_mb is None or not self.frees(opened):
            return False
        freed_mb = own_mb(opened.bundle, opened.rung)
        alone = ladder(bundle, self._box, pin, objective, freed_mb=freed_mb).runnable[:1]
        return any(room_mb < own_mb(bundle, rung) <= room_mb + freed_mb for rung in alone)

    def frees(self, opened: Opened | None) -> bool:
        """Whether the memory of what was opened comes back when its pipeline lets it go: not where others go on with all of it."""
        return opened is None or self._box.engines.shares.frees(opened.model.engine)

    def lost(
        self,
        model: str,
        pin: str | None,
        objective: Objective | None,
        rung: Rung,
        error: EngineLostError,
        *,
        lived: bool = False,
    ) -> bool:
        """Leave a rung alone whose engine was lost in a child; whether to build anew at once.

        That is so when another rung can run, at the first failure, and when it ``lived`` for long enough. False for an engine in
        this process.
        """
        if self._box.lost is None or not self._box.engines.isolates(rung):
            return False
        is_first = self._box.lost.failed(rung, error) == 1
        bundle = self._bundles.get(model)
        runnable = self.ladder(bundle, pin, objective).runnable if bundle is not None else ()
        return is_first or lived or any(way_of(one) != way_of(rung) for one in runnable[:1])

    def lied(
        self, model: str, pin: str | None, objective: Objective | None, rung: Rung, error: EngineLostError
    ) -> bool:
        """Leave a rung alone whose answers are wrong, wherever it runs; whether another can run."""
        if self._box.lost is None:
            return False
        self._box.lost.failed(rung, error)
        bundle = self._bundles.get(model)
        runnable = self.ladder(bundle, pin, objective).runnable if bundle is not None else ()
        return any(way_of(one) != way_of(rung) for one in runnable[:1])

    def is_due(self) -> bool:
        """Whether a rung that was left alone may be tried again since this was asked last."""
        return self._box.lost is not None and self._box.lost.is_due()

    def choose_anew(self) -> None:
        """Hold what runs against nothing: the box has an accelerator that it had not, and that nobody has measured."""
        self._rungs.clear()
        self._wants.clear()

    @property
    def choices(self) -> int:
        """Counts what may have changed a ladder: models that were opened, and figures that were kept."""
        store = self._box.store
        if store is None:
            return self._opens
        store.known()
        return self._opens + store.revision

    def ladder(self, bundle: Bundle, pin: str | None, objective: Objective | None) -> Ladder:
        """Give the ladder with what runs on it; its first rung is another when that one should take the place."""
        running = self._rungs.get((bundle.manifest.name, pin, objective))
        return ladder(bundle, self._box, pin, objective, running)

    def bundles(self) -> tuple[Bundle, ...]:
        """Give what was opened last of each model."""
        return tuple(self._bundles.values())

    @property
    def is_busy(self) -> bool:
        """Whether a model is being brought in or tried."""
        return self._lock.locked()

    def installed(self) -> Standing:
        """Give what is known of every model, and what keeps others from running.

        Without the lock, since each record is one file that is replaced whole: a model may take minutes to be tried, and the thread
        that asks here feeds the watchdog.
        """
        return self.updater.installed()

    def way(self, model: str, order: Ordered, site: Site) -> DeliveredWay:
        """Give the way of an ordered release into this store."""
        return DeliveredWay(model, order, site, self.store, self.records, self._disk, self._clock, self._boot)

    def stored(self, model: str, release: Release) -> Bundle | None:
        """Give a stored release, whole; None when it is not."""
        return self.store.bundle(model, release)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep models from being brought in from folders meanwhile; what is told of them is built anew afterwards.

        Raises BusyError, at once, while one is being brought in.
        """
        if not self._lock.acquire(blocking=False):
            message = "cannot take an order up now: a model is being brought in from a folder, expected nobody at it"
            raise BusyError(message)
        try:
            yield
        finally:
            self._lock.release()
            self.looks += 1

    @contextmanager
    def _turn(self, waits: Waits) -> Iterator[None]:
        while not self._lock.acquire(timeout=TURN_S):
            waits()
        try:
            waits()
            yield
        finally:
            self._lock.release()

    def _want(self, opened: Opened, key: tuple[str, str | None, Objective | None]) -> None:
        self._wants.pop(key, None)
        if opened.wanted is not None:
            self._wants[key] = opened.wanted

    def _look(self, model: str) -> Bundle:
        try:
            return self.updater.ensure(model)
        except DeviceError as error:
            return self._unstored(model, error)
        finally:
            self.looks += 1

    def _try(self, bundle: Bundle) -> str | None:
        return try_bundle(bundle, self._box, self._keep, self.uses(bundle.manifest.name))

    def _keep(self, opened: Opened) -> None:
        """Hold a model that passed its trial until it is asked for: loading it twice costs time and memory at every first start."""
        before, self._tried = self._tried, opened
        if before is not None:
            before.model.engine.close()

    def _take_tried(
        self, bundle: Bundle, pin: str | None, objective: Objective | None, running: Identity | None, less: Less
    ) -> Opened | None:
        """Give the model that was tried when it is what would be opened now; otherwise it is let go."""
        tried, self._tried = self._tried, None
        if tried is None:
            return None
        if tried.bundle.folder == bundle.folder:
            whole = ladder(bundle, self._box, pin, objective, running)
            first = descend(whole.runnable, less)[:1]
            if first and first[0].identity == tried.rung.identity:
                return replace(tried, rung=first[0], unmet=whole.unmet, rungs=whole.runnable)
        tried.model.engine.close()
        return None

    def _unstored(self, model: str, trouble: DeviceError) -> Bundle:
        """Run straight from the folder when the disk takes no store: seeing without a way back beats being blind."""
        for bundle in find_bundles(self._folders).bundles.get(model, ()):
            if not verify(bundle) and self._try(bundle) is None:
                logs.event(_LOG, "model.unstored", level=logging.WARNING, model=model, reason=trouble)
                return bundle
        raise trouble


def _listed(whole: Ladder, failed: Mapping[Way, str]) -> str:
    return "; ".join(filter(None, [whole.held, *failed.values()]))
