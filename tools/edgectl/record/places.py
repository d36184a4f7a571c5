"""Finds recordings: by file, by name on this box, or the newest."""

from __future__ import annotations

from pathlib import Path

from edgectl.options import CONFIG
from edged.assembly.clip_file import PART
from edged.assembly.clip_ring import recordings
from edged.assembly.recording import recordings_folder
from edged.config.load import load
from edged.config.schema import Config
from edged.domain.errors import ConfigError

LAST = "last"


def settings(file: Path | None) -> Config:
    """Read the configuration that was named, or the box's own; a machine that has none gets the defaults."""
    return load(file or CONFIG, required=file is not None, named=False).config


def find(recording: str, config: Config) -> Path:
    """Find a recording by its file or folder, or by its name on this box; ``last`` is the newest.

    Raises ConfigError when there is none.
    """
    if Path(recording).exists():
        return Path(recording)
    folder = recordings_folder(config)
    known = [file for file in recordings(folder) if file.suffix != PART or recording == file.stem]
    found = known[-1:] if recording == LAST else [file for file in known if recording in {file.stem, file.name}]
    if found:
        return found[0]
    there = f"the newest is {known[-1].stem}" if known else f"{folder} holds none"
    message = f"cannot find recording {recording!r}: {there}, expected a name, a file or '{LAST}'"
    raise ConfigError(message, remedy="edgectl record list shows all")
