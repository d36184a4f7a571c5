"""Models for pipelines: brought in, tried, and opened; one at a time, since they share the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.assembly.box import Box
from edged.assembly.models import Opened, open_best, try_bundle
from edged.domain.bundle import Bundle
from edged.domain.errors import DeviceError
from edged.domain.ports import Clock
from edged.hardware import heap
from edged.telemetry import logs
from edged.update.disk import LocalDisk
from edged.update.manifest import find_bundles, verify
from edged.update.records import Records
from edged.update.store import Store
from edged.update.updater import Installed, Updater

TURN_S = 1.0
Waits = Callable[[], None]
"""Called every second while others have their turn, and when the own begins: a box with many models takes minutes to try them all."""

_LOG = logging.getLogger("edged.supply")


class Supply:
    """Gives pipelines the best model that this box runs. Thread-safe."""

    def __init__(self, folders: tuple[Path, ...], state: Path, box: Box, clock: Clock) -> None:
        disk = LocalDisk()
        self._folders = folders
        self._box = box
        self._updater = Updater(folders, Store(state, disk), Records(state, disk, clock), self._try)
        self._tried: Opened | None = None
        self._lock = threading.Lock()
        self.looks = 0
        """Counts how often a model was looked for: what is told of the models holds until the next look."""

    def bundle(self, model: str, waits: Waits = lambda: None) -> Bundle:
        """Give the bundle that shall run; brings in a better one first if there is one."""
        with self._turn(waits):
            try:
                return self._updater.ensure(model)
            except DeviceError as error:
                return self._unstored(model, error)
            finally:
                self.looks += 1

    def open(self, model: str, pin: str | None, waits: Waits = lambda: None) -> Opened:
        """Give a model that is ready to run: the one that was just tried, if there was one, or a new one."""
        bundle = self.bundle(model, waits)
        tried = self._take_tried(bundle, pin, waits)
        opened = tried or open_best(bundle, self._box, pin)
        # What reading, trying and preparing the model took besides the model itself is free now, and needed by no frame.
        heap.drop_file_pages(opened.file.resolve())
        heap.trim()
        return opened

    def installed(self) -> tuple[Installed, ...]:
        """Give what is known of every model.

        Without the lock, since each record is one file that is replaced whole: a model may take minutes to be tried, and the thread
        that asks here feeds the watchdog.
        """
        return self._updater.installed()[0]

    @contextmanager
    def _turn(self, waits: Waits) -> Iterator[None]:
        while not self._lock.acquire(timeout=TURN_S):
            waits()
        try:
            waits()
            yield
        finally:
            self._lock.release()

    def _try(self, bundle: Bundle) -> str | None:
        return try_bundle(bundle, self._box, self._keep)

    def _keep(self, opened: Opened) -> None:
        """Hold a model that passed its trial until it is asked for: loading it twice costs time and memory at every first start."""
        before, self._tried = self._tried, opened
        if before is not None:
            before.model.engine.close()

    def _take_tried(self, bundle: Bundle, pin: str | None, waits: Waits) -> Opened | None:
        with self._turn(waits):
            tried, self._tried = self._tried, None
        if tried is None or (tried.bundle.folder == bundle.folder and pin in {None, tried.model.ref.variant}):
            return tried
        tried.model.engine.close()
        return None

    def _unstored(self, model: str, trouble: DeviceError) -> Bundle:
        """Run straight from the folder when the disk takes no store: seeing without a way back beats being blind."""
        for bundle in find_bundles(self._folders).bundles.get(model, ()):
            if not verify(bundle) and self._try(bundle) is None:
                logs.event(_LOG, "model.unstored", level=logging.WARNING, model=model, reason=trouble)
                return bundle
        raise trouble
