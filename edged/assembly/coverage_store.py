"""What pipelines saw, minute by minute, on disk.

coverage/<day>/<pipeline>.minutes   1440 rows of fixed size, by the minute of the day (UTC)

A row is written in place: 24 bytes within one block, with a checksum. A power cut can tear no other, and costs what the system had not
yet written out, half a minute as a rule; it reads as "down", which is the truth about a box without power. Nothing is synced: the thread
that writes here feeds the watchdog, and a worn SD card may take seconds to sync.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

from edged.telemetry import logs
from edged.telemetry.coverage import MINUTES_A_DAY, ROW_BYTES, Minute

FOLDER = "coverage"
SUFFIX = ".minutes"
DAYS = 31
"""So many days are kept, with 34,560 bytes a pipeline and day: 1.1 MB a pipeline."""

_LOG = logging.getLogger("edged.coverage")


class CoverageStore:
    """The rows below a state directory. One thread writes; readers may be other processes."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER
        self._is_refused = False

    def __repr__(self) -> str:
        return f"<CoverageStore {self._folder}>"

    def write(self, pipeline: str, minute: Minute) -> None:
        """Keep a minute in place of what was known of it. A disk that takes nothing is logged once, and costs the row."""
        day, at = divmod(minute.number, MINUTES_A_DAY)
        folder = self._folder / day_name(day)
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True)
                self._trim()
            _put(folder / f"{pipeline}{SUFFIX}", minute.to_bytes(), at * ROW_BYTES)
        except OSError as error:
            if not self._is_refused:
                logs.event(_LOG, "coverage.unkept", level=logging.WARNING, reason=error, folder=folder)
            self._is_refused = True
        else:
            self._is_refused = False

    def read(self, pipeline: str, first: int, count: int) -> list[Minute]:
        """Give ``count`` minutes from number ``first`` on; nothing is known of those that are not there."""
        days = range(first // MINUTES_A_DAY, (first + count - 1) // MINUTES_A_DAY + 1)
        content = {day: self._content(day, pipeline) for day in days}
        return [_row(content[number // MINUTES_A_DAY], number) for number in range(first, first + count)]

    def pipelines(self, day: int) -> tuple[str, ...]:
        """Name those of which something is known on a day, counted from 1970."""
        return tuple(sorted(file.stem for file in (self._folder / day_name(day)).glob(f"*{SUFFIX}")))

    def days(self) -> tuple[str, ...]:
        """Name the days that are kept, oldest first."""
        try:
            return tuple(sorted(folder.name for folder in self._folder.iterdir()))
        except OSError:  # nothing was kept yet
            return ()

    def _content(self, day: int, pipeline: str) -> bytes:
        try:
            return (self._folder / day_name(day) / f"{pipeline}{SUFFIX}").read_bytes()
        except OSError:
            return b""

    def _trim(self) -> None:
        """Let the oldest go. By number, not by date: a clock that was wrong once must not cost what is kept."""
        for name in self.days()[:-DAYS]:
            shutil.rmtree(self._folder / name, ignore_errors=True)


def day_name(day: int) -> str:
    """Write a day, counted from 1970, as a date."""
    return time.strftime("%Y-%m-%d", time.gmtime(day * 86_400))


def _put(file: Path, row: bytes, offset: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, row, offset)
    finally:
        os.close(descriptor)


def _row(content: bytes, number: int) -> Minute:
    at = number % MINUTES_A_DAY * ROW_BYTES
    return Minute.from_bytes(content[at : at + ROW_BYTES], number)
