"""One recording as a file: a ZIP that any tool opens, written piece by piece, under its own name only once it is whole.

manifest.json      edged.recording/1: what was recorded, of which pipeline, with which model and configuration
inputs.ndjson      a row an input: its file, index and stamps
results.ndjson     a row a result, as it was published
events.ndjson      a row an event, as it was published
readings.ndjson    a row a second: how the box felt
calibration.npz    what the pipeline had learned of its machine, if it learns
inputs/000000.jpg  what the model was shown (.png: to the bit; .npy: a window of samples, float32)
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import zipfile
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edged.assembly.state import is_held
from edged.fleet.synced import sync
from edged.pipeline.preroll import Item, Kind

SCHEMA = "edged.recording/1"
SUFFIX, PART = ".zip", ".part"
MANIFEST, CALIBRATION = "manifest.json", "calibration.npz"
ROWS: Mapping[Kind, str] = {
    "input": "inputs.ndjson",
    "result": "results.ndjson",
    "event": "events.ndjson",
    "reading": "readings.ndjson",
}
MAX_INPUTS = 20_000
MAX_ROWS_BYTES = 16 * 1024**2
"""Rows wait in memory until the end. Five minutes of 15 results a second are some 10 MB, unless they are masks."""
MODE = 0o640
"""What a camera saw is the business of edged's user and group."""
_DATED = (1980, 1, 1, 0, 0, 0)
"""The archive's members are dated in their rows; the same recording gives the same bytes."""


class ClipWriter:
    """Writes one recording. Owned by one thread; every method but ``abandon`` raises OSError when the disk refuses."""

    def __init__(self, folder: Path, name: str) -> None:
        """Begin ``name`` in ``folder``. The unfinished file is locked, so that others can tell it from one that was left behind."""
        self.name = name
        self._target = folder / f"{name}{SUFFIX}"
        self.part = folder / f"{name}{PART}"
        # Not the folder's mode alone: where the configuration names one, it may be anybody's.
        self._file = os.fdopen(os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE), "wb")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        self._rows: dict[Kind, list[bytes]] = {kind: [] for kind in ROWS}
        self._row_bytes = 0
        self.span_s: tuple[float, float] | None = None
        self.counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<ClipWriter {self.name}: {dict(self.counts)}, {self.size_bytes} bytes>"

    @property
    def size_bytes(self) -> int:
        """What it takes on the disk, with what is not written yet."""
        return self._file.tell() + self._row_bytes

    @property
    def is_open(self) -> bool:
        """Whether it is being written still."""
        return not self._file.closed

    @property
    def is_full(self) -> bool:
        """Whether it holds as many rows as may wait."""
        return self.counts["input"] >= MAX_INPUTS or self._row_bytes > MAX_ROWS_BYTES

    def add(self, item: Item) -> None:
        """Take an item."""
        row, text = dict(item.row), b"" if item.kind == "input" else item.blob
        if item.kind == "input":
            first_s = item.at_s if self.span_s is None else self.span_s[0]
            self.span_s = first_s, item.at_s
            if item.blob:
                row["file"] = f"inputs/{self.counts['input']:06}{item.suffix}"
                self._write(row["file"], item.blob)
        self.counts[item.kind] += 1
        text = text or json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()
        self._row_bytes += len(text)
        self._rows[item.kind].append(text)

    def finish(self, about: Mapping[str, Any], calibration: bytes | None = None) -> Path:
        """Close it with its manifest, durably, under its own name."""
        for kind, name in ROWS.items():
            self._write(name, b"".join(row + b"\n" for row in self._rows[kind]), zipfile.ZIP_DEFLATED)
        if calibration is not None:
            self._write(CALIBRATION, calibration)
        self._write(MANIFEST, json.dumps({"schema": SCHEMA, **about}, indent=1, ensure_ascii=False).encode())
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self.part.replace(self._target)
        self._file.close()
        sync(self._target.parent)
        return self._target

    def abandon(self) -> None:
        """Leave nothing behind. May be called in any state, and never raises."""
        with suppress(OSError):
            self.part.unlink(missing_ok=True)
        # Its directory is not written: the file is gone, and the disk may be full.
        self._zip.fp = None
        with suppress(OSError):
            self._file.close()

    def _write(self, name: str, data: bytes, how: int = zipfile.ZIP_STORED) -> None:
        member = zipfile.ZipInfo(name, _DATED)
        member.external_attr = MODE << 16
        self._zip.writestr(member, data, how)


def clip_name(wall_ns: int, pipeline: str, why: str) -> str:
    """Give a name that sorts by time, such as ``20261120T231004.120Z-gate-at-the-gate``."""
    seconds, rest = divmod(wall_ns // 1_000_000, 1000)
    at = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{at}.{rest:03d}Z-{pipeline}{f'-{why}' if why else ''}"


def is_being_written(part: Path) -> bool:
    """Whether a process writes this unfinished file now; one that was left behind by a power cut is nobody's."""
    try:
        return is_held(part)
    except OSError:
        return False
