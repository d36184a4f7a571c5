"""What edged itself takes of the box, its children included."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """``cpu_percent`` is of one processor since the last reading; ``memory_mb`` is resident, in MiB.

    ``disk_free_mb`` is what is left on the disk of the state directory; None when it cannot be asked.
    """

    cpu_percent: float
    memory_mb: float
    threads: int
    open_files: int
    disk_free_mb: int | None


class ProcessProbe:
    """Reads usage; the first reading's ``cpu_percent`` is 0."""

    def __init__(self, state: Path) -> None:
        self._process = psutil.Process(os.getpid())
        self._state = state

    def __call__(self) -> Usage:
        """Take one reading."""
        process = self._process
        with process.oneshot():
            resident = process.memory_info().rss + sum(_resident(child) for child in process.children(recursive=True))
            return Usage(
                cpu_percent=process.cpu_percent(),
                memory_mb=round(resident / 2**20, 1),
                threads=process.num_threads(),
                open_files=process.num_fds(),
                disk_free_mb=_disk_free_mb(self._state),
            )


def _resident(child: psutil.Process) -> int:
    try:
        return int(child.memory_info().rss)
    except psutil.Error:
        # It ended between being listed and being asked.
        return 0


def _disk_free_mb(folder: Path) -> int | None:
    try:
        return int(psutil.disk_usage(str(folder)).free / 2**20)
    except OSError:
        return None
