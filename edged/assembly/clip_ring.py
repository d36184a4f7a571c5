"""The recordings of a box: a folder that grows neither past its bytes nor past its days, the oldest going first."""

from __future__ import annotations

import calendar
import logging
import os
import re
import time
from collections import deque
from pathlib import Path
from weakref import WeakSet

from edged.assembly.clip_file import PART, SUFFIX, ClipWriter, clip_name, is_being_written
from edged.domain.errors import DeviceError
from edged.domain.ports import Clock
from edged.telemetry import logs

FOLDER = "recordings"
"""Below the state's directory, where the configuration names no other."""
LEAST_FREE_BYTES = 64 * 1024**2
"""Stays free for who else lives on the disk: models and the outbox come before what is nice to have."""
NS_PER_DAY = 86_400 * 10**9
UNSET_NS = 1_700_000_000 * 10**9
"""November 2023: a clock that says less is one that nothing has set since the power came."""
LARGEST_SHARE = 4
"""One recording takes a fourth of the ring at most: the one before an event must not be lost to the event itself."""
_NAME = re.compile(r"(\d{8}T\d{6})\.(\d{3})Z-.+")

_LOG = logging.getLogger("edged.recordings")


class Ring:
    """The folder. One thread writes; readers may be other processes."""

    def __init__(self, folder: Path, max_bytes: int, keep_days: float, clock: Clock) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._keep_ns, self._clock = int(keep_days * NS_PER_DAY), clock
        self._kept: deque[tuple[Path, int]] | None = None
        self._bytes = 0
        self._writers: WeakSet[ClipWriter] = WeakSet()

    def __repr__(self) -> str:
        kept = "not opened" if self._kept is None else f"{len(self._kept)} recordings, {self._bytes} bytes"
        return f"<Ring {self.folder}: {kept} of {self.max_bytes}>"

    def begin(self, pipeline: str, why: str) -> ClipWriter:
        """Begin a recording. Raises DeviceError when the disk has no room for one, OSError when it refuses."""
        self._opened()
        free = self._free_bytes()
        if free < LEAST_FREE_BYTES:
            message = (
                f"cannot record to {self.folder}: {free / 1e6:.0f} MB are free, expected {LEAST_FREE_BYTES / 1e6:.0f}"
            )
            raise DeviceError(message, remedy="make room on the disk, or lower record.max_bytes", code="disk")
        wall_ns = self._clock.wall_ns()
        while (self.folder / f"{clip_name(wall_ns, pipeline, why)}{SUFFIX}").exists():
            wall_ns += 1_000_000
        writer = ClipWriter(self.folder, clip_name(wall_ns, pipeline, why))
        self._writers.add(writer)
        return writer

    def is_full(self, writer: ClipWriter) -> bool:
        """Whether a recording has had its share, or the disk has no more; several that are written at once divide a share."""
        share = self.max_bytes // (LARGEST_SHARE * max(1, len(self._writing())))
        return writer.size_bytes > share or self._free_bytes() < LEAST_FREE_BYTES

    def add(self, file: Path) -> None:
        """Count a recording in that was finished."""
        size = file.stat().st_size
        self._opened().append((file, size))
        self._bytes += size

    def make_room(self, wanted_bytes: int) -> None:
        """Let the oldest go until so many bytes more fit into the bound, beside what is being written."""
        kept = self._opened()
        wanted_bytes += sum(writer.size_bytes for writer in self._writing())
        while kept and self._bytes + wanted_bytes > self.max_bytes:
            self._remove(kept[0], "room")

    def retire(self) -> None:
        """Remove what is past its days. A clock that nothing has set yet must not cost what is kept."""
        kept = self._opened()
        if not self._clock.synced():
            return
        since_ns = self._clock.wall_ns() - self._keep_ns
        for entry in [one for one in kept if _aged_ns(one[0], self._clock.wall_ns()) < since_ns]:
            self._remove(entry, "age")

    def _writing(self) -> list[ClipWriter]:
        return [writer for writer in self._writers if writer.is_open]

    def _free_bytes(self) -> int:
        at = os.statvfs(self.folder)
        return at.f_bavail * at.f_frsize

    def _opened(self) -> deque[tuple[Path, int]]:
        if self._kept is None:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            found = recordings(self.folder)
            for torn in (file for file in found if file.suffix == PART):
                logs.event(_LOG, "recording.torn", level=logging.WARNING, file=torn)
            self._kept = deque((file, file.stat().st_size) for file in found)
            self._bytes = sum(size for _, size in self._kept)
        return self._kept

    def _remove(self, entry: tuple[Path, int], why: str) -> None:
        file, size = entry
        file.unlink(missing_ok=True)
        self._opened().remove(entry)
        self._bytes -= size
        logs.event(_LOG, "recording.removed", file=file.name, why=why)


def recordings(folder: Path) -> list[Path]:
    """List finished recordings and those that were left unfinished, the oldest first; not the one that is being written."""
    try:
        found = sorted(file for file in folder.iterdir() if file.suffix in {SUFFIX, PART} and _NAME.match(file.name))
    except OSError:
        return []
    return [file for file in found if file.suffix == SUFFIX or not is_being_written(file)]


def _aged_ns(file: Path, now_ns: int) -> int:
    """Give from when on a recording ages: what was made before anything had set the clock, from when that is first seen."""
    named_ns = written_ns(file)
    if named_ns >= UNSET_NS:
        return named_ns
    try:
        if file.stat().st_mtime_ns < UNSET_NS:
            os.utime(file, ns=(now_ns, now_ns))
        return file.stat().st_mtime_ns
    except OSError:
        return now_ns


def written_ns(file: Path) -> int:
    """Give when a recording began, in Unix time, by its name."""
    matched = _NAME.match(file.name)
    if matched is None:
        return 0
    seconds = calendar.timegm(time.strptime(matched[1], "%Y%m%dT%H%M%S"))
    return seconds * 10**9 + int(matched[2]) * 10**6
