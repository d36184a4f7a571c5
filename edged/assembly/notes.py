"""Small notes to the next start, in the state directory: worth keeping, and no reason to fail when they cannot be."""

from __future__ import annotations

import logging
from pathlib import Path

from edged.telemetry import logs

_LOG = logging.getLogger("edged.notes")


def read_note(file: Path) -> bytes | None:
    """Give a note's content; None when there is none."""
    try:
        return file.read_bytes()
    except OSError:
        return None


def write_note(file: Path, content: bytes) -> None:
    """Replace a note. Not synced: this is called from the thread that feeds the watchdog, and a note may be a minute old."""
    beside = file.with_name(f".{file.name}.new")
    try:
        beside.write_bytes(content)
        beside.replace(file)
    except OSError as error:
        logs.event(_LOG, "note.unwritten", level=logging.DEBUG, file=file, error=error)


def drop_note(file: Path) -> None:
    """Remove a note, if it is there and the disk lets it go."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        logs.event(_LOG, "note.undropped", level=logging.DEBUG, file=file, error=error)
