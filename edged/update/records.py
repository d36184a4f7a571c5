"""What the box remembers about its models: one pointer each, the quarantine, and a journal.

slots/<model>/pointer.json    what is live, what was before, how far a candidate has come, by whose order: one atomic switch
quarantine.json               releases that must never be tried again
journal.ndjson                a line before each change (edged.update.journal)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edged.domain.ports import Clock
from edged.update.disk import Disk
from edged.update.journal import Journal
from edged.update.reserve import Reserve
from edged.update.rollout import UNDER_WAY, State

SHA256 = r"^[0-9a-f]{64}$"
EARLIER_STATES = {
    "desired": State.ACCEPTED,
    "verified": State.VERIFYING,
    "tried": State.READY,
    "active": State.COMMITTED,
}
"""As they were named before models came over the air."""


class _Record(BaseModel):
    # Unknown keys are left alone: an older edged may have to read what a newer one wrote.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Ordered(_Record):
    """A release that somebody ordered: which file, and the document that says so. ``document`` is the digest of what was signed."""

    document: str = Field(pattern=SHA256)
    audience: str
    seq: int
    campaign: str = ""
    by: str = ""
    version: str
    target: str
    sha256: str = Field(pattern=SHA256)
    length: int
    force: bool = False
    shadow_one_in: int = 0
    shadow_frames: int = 100
    shadow_agreement: float = 0.9
    probation_s: int = 900
    min_inferences: int = 100

    def told(self) -> dict[str, Any]:
        """Give what people ask for: who ordered what."""
        return self.model_dump(include={"audience", "seq", "campaign", "by", "version", "target", "sha256"})


class Release(_Record):
    """A bundle in the store. ``digest`` is the SHA-256 of its listing, which names every file by its own digest.

    ``target`` is the digest of the file that it came in over the air; empty for one from a folder.
    """

    digest: str = Field(pattern=SHA256)
    version: str
    target: str = ""


class Pointer(_Record):
    """A model's slot. ``attempt`` counts interrupted trials, in probation crashed starts; ``seq`` every change of the pointer."""

    active: Release | None = None
    previous: Release | None = None
    candidate: Release | None = None
    state: State = State.IDLE
    attempt: int = 0
    seq: int = 0
    reason: str = ""
    """Why the state is rejected, failed, postponed or rolled-back."""
    code: str = ""
    """The reason in one word that stays."""
    order: Ordered | None = None
    """The order in force; None: what the folders offer is wanted."""
    finished: bool = False
    """Whether that order has come to its end, good or bad; an order that has not is taken up again."""
    moves: int = 0
    """Transitions since the candidate came or rested last."""
    boot_id: str = ""
    """The boot in which the probation was begun or went on last."""
    since_ms: int | None = None
    """When it came into its state, by the wall clock; None: an older edged wrote it."""

    @field_validator("state", mode="before")
    @classmethod
    def _of_any_version(cls, given: Any) -> Any:
        """Take a state's earlier name; one that only a later edged knows must not cost what is live."""
        known = {state.value for state in State}
        return given if not isinstance(given, str) or given in known else EARLIER_STATES.get(given, State.IDLE)

    @property
    def wanted(self) -> Ordered | None:
        """The order whose candidate is on its way; None for a folder's."""
        return None if self.finished else self.order


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

    def reason_for_target(self, sha256: str) -> str | None:
        """Give why what comes in this file must not run, or None when it may."""
        return next((held.reason for held in self.releases if held.release.target == sha256), None)


_Kept = TypeVar("_Kept", bound=_Record)


class Records:
    """Reads and writes them below a state directory."""

    def __init__(self, directory: Path, disk: Disk, clock: Clock) -> None:
        """Nothing is written until something changes."""
        self._directory = directory
        self._disk = disk
        self._clock = clock
        self._journal = Journal(directory, disk, clock)
        self.reserve = Reserve(directory, disk)

    def now_ms(self) -> int:
        """Unix time, as the journal has it: a label."""
        return self._clock.wall_ns() // 1_000_000

    def models(self) -> list[str]:
        """Names of the models that have a slot."""
        try:
            names = (slot.name for slot in (self._directory / "slots").iterdir())
            return sorted(name for name in names if not name.startswith("."))
        except OSError:  # there is none yet, or the disk no longer gives it: what lies in it is lost then, too
            return []

    def pointer(self, model: str) -> Pointer:
        """Give a model's pointer; an empty one when there is none yet."""
        return _read(self._pointer_file(model), Pointer)

    def point(self, model: str, pointer: Pointer) -> None:
        """Replace a model's pointer, durably and at once, its copy afterwards.

        As long as a candidate is on its way the copy of before still tells what is live: a third of the waiting for the disk.
        """
        self._keep(self._pointer_file(model), pointer, copies=pointer.state not in UNDER_WAY)

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
        folder_on_disk(self._disk, self._directory)
        self._journal.note(**fields)

    def _pointer_file(self, model: str) -> Path:
        return self._directory / "slots" / model / "pointer.json"

    def _keep(self, file: Path, record: _Record, *, copies: bool = True) -> None:
        folder_on_disk(self._disk, file.parent)
        for name in (file, _copy_of(file)) if copies else (file,):
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
