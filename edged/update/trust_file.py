"""Keeps the marks of trust in two places below the state directory: whichever is lost, the other still refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from edged.update.disk import Disk
from edged.update.records import folder_on_disk, replace_file
from edged.update.trust import Marks, read_marks


class TrustFile:
    """``trust.json`` in the state directory and in its ``trust``, which holds the repository's metadata too."""

    def __init__(self, state: Path, disk: Disk) -> None:
        self._places = (state / "trust.json", state / "trust" / "trust.json")
        self._disk = disk

    def read(self) -> Marks:
        """Give the newest that can be read; empty ones where there never were any."""
        found = [marks for place in self._places if (marks := _read(place)) is not None]
        return max(found, key=lambda marks: marks.serial, default=Marks())

    def keep(self, marks: Marks) -> Marks:
        """Write them, durably, where they differ from what is there, and give them as written. Raises DeviceError."""
        before = self.read()
        if replace(marks, serial=before.serial) == before and all(place.exists() for place in self._places):
            return before
        written = replace(marks, serial=before.serial + 1)
        for place in self._places:
            folder_on_disk(self._disk, place.parent)
            replace_file(self._disk, place, json.dumps(written.told()).encode())
        return written


def _read(place: Path) -> Marks | None:
    try:
        return read_marks(json.loads(place.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None
