"""The command ``support``: an archive in the state directory, made by the daemon itself, with what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.assembly import levels
from edged.assembly.roster import Roster
from edged.assembly.support_archive import PREFIX, SUFFIX, gather, name_of, write
from edged.assembly.support_sources import Place, pieces
from edged.domain.errors import DeviceError
from edged.domain.ports import Clock
from edged.fleet.topics import INVENTORY, MODELS
from edged.hardware import heap

FOLDER = "support"
MAX_BYTES, KEPT = 8_000_000, 2
"""What the daemon makes and keeps: commands may come again and again, and the box has other uses for its disk and memory."""


@dataclass(frozen=True, slots=True)
class Support:
    """Makes archives. ``told`` gives the daemon's own documents by name: (what it is, the document)."""

    state: Path
    file: Path
    device: str
    told: Callable[[], Mapping[str, tuple[str, Any]]]

    def __call__(self, at_ns: int) -> Mapping[str, Any]:
        """Make one, and tell of it; takes seconds. Raises DeviceError when the disk does not take it."""
        folder = self.state / FOLDER
        with heap.freeing():
            gathered = gather(pieces(Place(self.state, self.file, self.told())), MAX_BYTES)
            _make_room(folder)
            written = write(folder / name_of(self.device, at_ns), gathered, self.device, at_ns)
        return {
            "path": str(written.file),
            "bytes": written.size_bytes,
            "sha256": written.sha256,
            "members": len(gathered.members),
            "left_out": [one.name for one in gathered.left_out],
        }


def told(
    roster: Roster, governing: Callable[[], Mapping[str, Any]], clock: Clock
) -> Mapping[str, tuple[str, dict[str, Any]]]:
    """Give what the daemon says of itself."""
    health = levels.health(roster.grade, roster.reasons, clock.monotonic_ns(), clock.wall_ns())
    return {
        "health.json": ("the daemon's health", health),
        "governor.json": ("how the box feels", dict(governing())),
        "inventory.json": ("out/inventory", dict(roster.said.get(INVENTORY, {}))),
        "models.json": ("out/models", dict(roster.said.get(MODELS, {}))),
    }


def _make_room(folder: Path) -> None:
    """Let the oldest archives go, so that with the next one there are as many as are kept."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        made = sorted(folder.glob(f"{PREFIX}*{SUFFIX}"), key=lambda file: file.stat().st_mtime)
        # Those that were torn, since edged was ended while it wrote them, go too.
        for file in (*made[: max(0, len(made) - KEPT + 1)], *folder.glob(f".{PREFIX}*")):
            file.unlink(missing_ok=True)
    except OSError as error:
        message = f"cannot make room in {folder}: {error.strerror}, expected a folder that edged may write"
        raise DeviceError(message, code="disk") from error
