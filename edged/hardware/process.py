"""What edged itself takes of the box, its children included."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from edged.hardware.spare import LEAST_NICE


@dataclass(frozen=True, slots=True)
class Usage:
    """``cpu_percent`` is of one processor since the last reading; ``memory_mb`` is resident, in MiB.

    ``disk_free_mb`` is what is left on the disk of the state directory. None is what cannot be read: a hardened or
    confined process may see little of /proc.
    """

    cpu_percent: float | None = None
    memory_mb: float | None = None
    threads: int | None = None
    open_files: int | None = None
    disk_free_mb: int | None = None


class ProcessProbe:
    """Reads usage, and never raises; the first reading's ``cpu_percent`` is 0."""

    def __init__(self, state: Path) -> None:
        self._state = state
        try:
            self._process: psutil.Process | None = psutil.Process(os.getpid())
        except psutil.Error:
            self._process = None

    def __call__(self) -> Usage:
        """Take one reading."""
        free_mb = _disk_free_mb(self._state)
        if self._process is None:
            return Usage(disk_free_mb=free_mb)
        try:
            return _usage(self._process, free_mb)
        except psutil.Error:
            return Usage(disk_free_mb=free_mb)


def resident_mb() -> float:
    """Give what this process alone has resident, in MiB; 0 where that cannot be read."""
    try:
        return float(psutil.Process().memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


def serving_mb() -> float | None:
    """Give what this process has resident with the children that serve, in MiB; None where that cannot be read.

    A child that takes only what is left over, such as a measurement, ends by itself: nothing that serves meanwhile is heavier for it.
    """
    try:
        process = psutil.Process()
        own = process.nice()
        children = [
            child for child in process.children(recursive=True) if own == LEAST_NICE or _nice(child) < LEAST_NICE
        ]
        return round((process.memory_info().rss + sum(map(_resident, children))) / 2**20, 1)
    except psutil.Error:
        return None


def _usage(process: psutil.Process, free_mb: int | None) -> Usage:
    with process.oneshot():
        resident = process.memory_info().rss + sum(_resident(child) for child in process.children(recursive=True))
        return Usage(
            cpu_percent=process.cpu_percent(),
            memory_mb=round(resident / 2**20, 1),
            threads=process.num_threads(),
            open_files=process.num_fds(),
            disk_free_mb=free_mb,
        )


def _nice(child: psutil.Process) -> int:
    try:
        return int(child.nice())
    except psutil.Error:
        return LEAST_NICE


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
