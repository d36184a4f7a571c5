"""Models for pipelines: brought in, tried, and opened; one at a time, since they share the store."""

from __future__ import annotations

import logging
import threading
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

_LOG = logging.getLogger("edged.supply")


class Supply:
    """Gives pipelines the best model that this box runs. Thread-safe."""

    def __init__(self, folders: tuple[Path, ...], state: Path, box: Box, clock: Clock) -> None:
        disk = LocalDisk()
        self._folders = folders
        self._box = box
        self._updater = Updater(
            folders, Store(state, disk), Records(state, disk, clock), lambda bundle: try_bundle(bundle, box)
        )
        self._lock = threading.Lock()
        self.looks = 0
        """Counts how often a model was looked for: what is told of the models holds until the next look."""

    def bundle(self, model: str) -> Bundle:
        """Give the bundle that shall run; brings in a better one first if there is one."""
        with self._lock:
            try:
                return self._updater.ensure(model)
            except DeviceError as error:
                return self._unstored(model, error)
            finally:
                self.looks += 1

    def open(self, model: str, pin: str | None) -> Opened:
        """Give a model that is ready to run."""
        opened = open_best(self.bundle(model), self._box, pin)
        # What reading, trying and preparing the model took besides the model itself is free now, and needed by no frame.
        heap.trim()
        return opened

    def installed(self) -> tuple[Installed, ...]:
        """Give what is known of every model."""
        with self._lock:
            return self._updater.installed()[0]

    def _unstored(self, model: str, trouble: DeviceError) -> Bundle:
        """Run straight from the folder when the disk takes no store: seeing without a way back beats being blind."""
        for bundle in find_bundles(self._folders).bundles.get(model, ()):
            if not verify(bundle) and try_bundle(bundle, self._box) is None:
                logs.event(_LOG, "model.unstored", level=logging.WARNING, model=model, reason=trouble)
                return bundle
        raise trouble
