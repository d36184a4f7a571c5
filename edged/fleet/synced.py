"""Files that must outlive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def replace_synced(file: Path, content: bytes) -> None:
    """Put a file in place of another, durably. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(content)
    sync(beside)
    beside.replace(file)
    sync(file.parent)


def sync(place: Path) -> None:
    """Bring a file's content, or a folder's list of names, to the disk. Raises OSError."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_below(folder: Path) -> None:
    """Bring everything below a folder to the disk. Raises OSError."""
    for place, _, names in os.walk(folder):
        for name in (*names, ""):
            sync(Path(place, name))
