"""A real disk of which each call may fail, as libfiu makes system calls fail: one in so many, by a seeded chance."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edged.domain.errors import DeviceError
from edged.update.disk import LocalDisk

ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.ENOMEM)


@dataclass
class FaultyDisk:
    """Implements ``edged.update.disk.Disk``. A write that fails leaves the first half, as a short write does."""

    random: Random
    one_in: int
    faults: int = 0
    calls: int = 0
    disk: LocalDisk = field(default_factory=LocalDisk)

    def write(self, file: Path, blocks: Iterable[bytes], *, append: bool = False) -> None:
        content = b"".join(blocks)
        if self._fails():
            self.disk.write(file, [content[: len(content) // 2]], append=append)
            raise self._error("write", file)
        self.disk.write(file, [content], append=append)

    def sync(self, place: Path) -> None:
        # Nothing is brought to the disk for real: thousands of runs have no use for the milliseconds.
        if self._fails():
            raise self._error("sync", place)

    def rename(self, old: Path, new: Path) -> None:
        if self._fails():
            raise self._error("rename", old)
        self.disk.rename(old, new)

    def link(self, file: Path, name: Path) -> None:
        if self._fails():
            raise self._error("link", name)
        self.disk.link(file, name)

    def make_folder(self, folder: Path) -> None:
        if self._fails():
            raise self._error("make", folder)
        self.disk.make_folder(folder)

    def remove(self, place: Path) -> None:
        if self._fails():
            raise self._error("remove", place)
        self.disk.remove(place)

    def _fails(self) -> bool:
        self.calls += 1
        fails = self.random.randrange(self.one_in) == 0
        self.faults += fails
        return fails

    def _error(self, verb: str, place: Path) -> DeviceError:
        reason = os.strerror(self.random.choice(ERRORS))
        return DeviceError(f"cannot {verb} {place}: {reason}, expected a disk that takes it", code="disk")
