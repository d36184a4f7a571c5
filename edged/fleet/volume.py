"""Opening the outbox's file: for writing, or for reading what is there; a damaged one is set aside."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from edged.domain.errors import DeviceError
from edged.domain.ports import Clock
from edged.fleet.store import Store
from edged.fleet.trouble import CORRUPT, Trouble, is_corrupt
from edged.telemetry import logs

log = logging.getLogger(__name__)

KEPT, UNKEPT = b"0", b"1"


class Volume:
    """The file's place. ``store`` is what is open now, if anything; ``incidents`` is what was found and mended."""

    def __init__(self, path: Path, *, max_bytes: int, clock: Clock) -> None:
        self.path = path
        self.store: Store | None = None
        self.incidents: list[Trouble] = []
        self._max_bytes, self._clock = max_bytes, clock
        self._mark = Path(f"{path}-unkept")

    @property
    def is_unkept(self) -> bool:
        """Whether numbers were given that the file does not hold, in this run or in one that was killed."""
        try:
            return self._mark.read_bytes() != KEPT  # an empty one was made when the disk was full already
        except OSError:
            return False

    def note(self, mark: bytes) -> None:
        """Keep whether they were: one byte, written over in place, which a full disk takes as well.

        Only the first one is made durable, or a power cut would leave an empty file. Later ones it may undo: ``boot_id`` is another one
        then, and no number can be taken for an old one's.
        """
        try:
            descriptor = os.open(self._mark, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                is_new = not os.fstat(descriptor).st_size
                os.pwrite(descriptor, mark, 0)
                if is_new:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            logs.event(log, "outbox.unmarked", level=logging.DEBUG, file=self._mark, error=error)

    def open(self, *, known: bool, damaged: str = "") -> None:
        """Open or make the file for writing.

        ``known`` says that the numbers of its streams are in memory; ``damaged`` is what showed that the file is not
        whole although it can be opened. Raises sqlite3.Error or OSError when the disk takes nothing (the file may be open
        all the same when it is only full), DeviceError when another process holds the file.
        """
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not damaged:
            try:
                self.store = self._writable()
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                damaged = str(error)
            else:
                self._make_ready(self.store)
                return
        wall_ms = self._clock.wall_ns() // 1_000_000
        self._set_aside(damaged, wall_ms)
        self.store = self._writable()
        if not known:
            # Without the old numbers, sequences go on far above any old one: none is ever given twice.
            self.store.set_fact("base", wall_ms)

    def read_what_is_there(self) -> None:
        """Open the file for reading if nothing is open; nothing at all is no error."""
        wal = Path(f"{self.path}-wal")
        # What a kill left in the WAL cannot be read without writing: the file alone would give old numbers a second
        # time.
        if self.store is not None or (wal.exists() and wal.stat().st_size):
            return
        try:
            self.store = Store(self.path, max_bytes=self._max_bytes, read_only=True)
        except sqlite3.Error as error:
            logs.event(log, "outbox.unread", level=logging.DEBUG, file=self.path, error=error)

    def close(self) -> None:
        """Close what is open. May be called twice."""
        if self.store is not None:
            self.store.close()
            self.store = None

    def _make_ready(self, store: Store) -> None:
        """Make room for the mark while there is some, and find out whether there is room for more."""
        if not self._mark.exists():
            self.note(KEPT)
        store.check_disk()

    def _writable(self) -> Store:
        try:
            return Store(self.path, max_bytes=self._max_bytes)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            message = (
                f"cannot open the outbox {self.path}: another process holds it, expected one daemon a state folder"
            )
            raise DeviceError(message, remedy="stop the other one", code="outbox-locked") from error

    def _set_aside(self, damage: str, wall_ms: int) -> None:
        for suffix in ("", "-wal", "-shm"):
            damaged = Path(f"{self.path}{suffix}")
            if damaged.exists():
                damaged.rename(f"{damaged}.corrupt-{wall_ms}")
        message = f"cannot read the outbox {self.path}: {damage}; it was set aside and a new one begun"
        logs.event(log, "outbox.set-aside", level=logging.ERROR, error=message)
        remedy = f"keep {self.path}.corrupt-{wall_ms} for support, then delete it; check the disk"
        self.incidents.append(Trouble(CORRUPT, "outbox", message, remedy))
