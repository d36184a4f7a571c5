"""Room on the disk that is kept for one purpose: a release that must not run is taken back even when something has filled the disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from edged.domain.errors import DeviceError
from edged.update.disk import Disk

RESERVE = ".reserve"
RESERVE_BYTES = 256 * 1024
"""A rollback writes two lines of the journal, the quarantine and the pointer, each with its copy: at most some 150 kB."""


class Reserve:
    """A file of no use but its size, below a state directory."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        """Nothing is written until it is asked for."""
        self._file = directory / RESERVE
        self._disk = disk

    def keep(self) -> None:
        """Take the room, durably, unless it is taken; a disk that has none left is no fault."""
        with suppress(DeviceError):
            if not self._is_whole():
                # Not zeros: a file system that packs what it writes would keep no room for them.
                self._disk.write(self._file, [os.urandom(RESERVE_BYTES)])
                self._disk.sync(self._file)

    def free(self) -> None:
        """Give the room back, for what is written next."""
        with suppress(DeviceError):
            if self._file.exists():
                self._disk.remove(self._file)

    def _is_whole(self) -> bool:
        try:
            return self._file.stat().st_size == RESERVE_BYTES
        except OSError:  # there is none yet
            return False
