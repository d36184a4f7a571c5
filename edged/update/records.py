"""What the box remembers about its models: one pointer each, the quarantine, and a journal.

slots/<model>/pointer.json    what is live, what was before, and how far a candidate has come: one atomic switch
quarantine.json               releases that must never be tried again
journal.ndjson                a line before each change, for people
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edged.domain.ports import Clock
from edged.update.disk import Disk
from edged.update.rollout import State

MAX_JOURNAL_BYTES = 1_048_576
"""Some thousands of lines: years of updates. The file before it is kept too."""
_NS_PER_MS = 1_000_000


class _Record(BaseModel):
    # Unknown keys are left alone: an older edged may have to read what a newer one wrote.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Release(_Record):
    """A bundle in the store. ``digest`` is the SHA-256 of its listing, which names every file by its own digest."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    version: str


class Pointer(_Record):
    """A model's slot. ``attempt`` counts the candidate's trials, ``seq`` every change of the pointer."""

    active: Release | None = None
    previous: Release | None = None
    candidate: Release | None = None
    state: State = State.IDLE
    attempt: int = 0
    seq: int = 0
    reason: str = ""
    """Why the state is rejected, postponed or rolled-back."""


class Quarantined(_Record):
    """A release that failed its trial or was withdrawn."""

    model: str
    release: Release
    reason: str


class Quarantine(_Record):
    """``quarantine.json``."""

    releases: tuple[Quarantined, ...] = ()

    def reason_for(self, release: Release) -> str | None:
        """Give why this release must not run, or None when it may."""
        return next((held.reason for held in self.releases if held.release.digest == release.digest), None)


_Kept = TypeVar("_Kept", bound=_Record)


class Records:
    """Reads and writes them below a state directory."""

    def __init__(self, directory: Path, disk: Disk, clock: Clock) -> None:
        """Nothing is written until something changes."""
        self._directory = directory
        self._disk = disk
        self._clock = clock

    def models(self) -> list[str]:
        """Names of the models that have a slot."""
        try:
            return sorted(slot.name for slot in (self._directory / "slots").iterdir())
        except OSError:  # there is none yet, or the disk no longer gives it: what lies in it is lost then, too
            return []

    def pointer(self, model: str) -> Pointer:
        """Give a model's pointer; an empty one when there is none yet."""
        return _read(self._pointer_file(model), Pointer)

    def point(self, model: str, pointer: Pointer) -> None:
        """Replace a model's pointer, durably and at once, its copy afterwards."""
        self._keep(self._pointer_file(model), pointer)

    def quarantine(self) -> Quarantine:
        """Give the releases that must not be tried."""
        return _read(self._directory / "quarantine.json", Quarantine)

    def quarantine_release(self, model: str, release: Release, reason: str) -> None:
        """Add a release, durably; one that is held already keeps its first reason."""
        held = self.quarantine()
        if held.reason_for(release) is None:
            added = Quarantined(model=model, release=release, reason=reason)
            self._keep(self._directory / "quarantine.json", Quarantine(releases=(*held.releases, added)))

    def note(self, **fields: Any) -> None:
        """Write a line into the journal; called before the change that it tells of."""
        file = self._directory / "journal.ndjson"
        folder_on_disk(self._disk, file.parent)
        if file.exists() and file.stat().st_size > MAX_JOURNAL_BYTES:
            self._disk.rename(file, file.with_name("journal.1.ndjson"))
        is_new = not file.exists()
        line = json.dumps({"at_ms": self._clock.wall_ns() // _NS_PER_MS, **fields}, separators=(",", ":")) + "\n"
        # A power cut may have left the last line without its end: the next one must not be lost with it.
        torn = not is_new and not file.read_bytes().endswith(b"\n")
        self._disk.write(file, [("\n" + line if torn else line).encode()], append=True)
        self._disk.sync(file)
        if is_new:
            self._disk.sync(file.parent)

    def _pointer_file(self, model: str) -> Path:
        return self._directory / "slots" / model / "pointer.json"

    def _keep(self, file: Path, record: _Record) -> None:
        folder_on_disk(self._disk, file.parent)
        for name in (file, _copy_of(file)):
            replace_file(self._disk, name, record.model_dump_json().encode())


def _copy_of(file: Path) -> Path:
    # Told in place of a file that the disk itself damaged; never newer than it.
    return file.with_name(file.name + "~")


def _read(file: Path, kind: type[_Kept]) -> _Kept:
    for name in (file, _copy_of(file)):
        try:
            return kind.model_validate_json(name.read_bytes())
        except (OSError, ValidationError):
            continue
    return kind()


def replace_file(disk: Disk, file: Path, content: bytes) -> None:
    """Put a file in place of another so that after a power cut one of the two is there, whole."""
    beside = file.with_name(f".{file.name}.new")
    disk.write(beside, [content])
    disk.sync(beside)
    disk.rename(beside, file)
    disk.sync(file.parent)


def folder_on_disk(disk: Disk, folder: Path) -> None:
    """Make a folder and those above it, durably, where they are absent."""
    if not folder.is_dir():
        folder_on_disk(disk, folder.parent)
        disk.make_folder(folder)
        disk.sync(folder.parent)
