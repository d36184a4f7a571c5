"""Reads a recording back: the file that a box wrote, or the folder that somebody unpacked it into."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from edged.assembly.adapters import adapter
from edged.assembly.clip_file import CALIBRATION, MANIFEST, MAX_INPUTS, MAX_ROWS_BYTES, PART, ROWS, SCHEMA
from edged.domain.errors import ConfigError, FrameError
from edged.domain.frame import Frame, Stamp
from edged.domain.result import ModelRef
from edged.domain.tensor import Array
from edged.pipeline.preroll import Kind

MAX_MEMBER_BYTES = 4 * MAX_ROWS_BYTES
"""No input and no list of rows is larger; what claims to be is no recording of ours."""
_Kinds = type | tuple[type, ...]
_NUMBER = (int, float)
NEEDED: Mapping[str, _Kinds] = {
    **dict.fromkeys(("id", "why", "device", "edged", "pipeline", "began_at", "ended_at", "quality"), str),
    "config": dict,
    "seconds": _NUMBER,
    "counts": dict,
    "short": bool,
    "models": list,
}
"""Of a manifest: without these nothing can be told of it, or replayed."""
_COUNTS: Mapping[str, type] = dict.fromkeys(("missed", "inputs", "results", "events"), int)
_STAMP: Mapping[str, _Kinds] = {"index": int, "mono_ns": int}
NEEDED_ROWS: Mapping[Kind, Mapping[str, _Kinds]] = {
    "input": {**_STAMP, "wall_ns": int, "source_s": _NUMBER},
    "result": {**_STAMP, "model": dict},
    "event": {**_STAMP, "rule": str, "phase": str, "frame": int, "source_s": _NUMBER, "since": str},
    "reading": {},
}
"""Of each row: it may come from anybody."""
_MODEL: Mapping[str, type] = {one.name: str for one in fields(ModelRef)}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What is told on a terminal has none."""
MAX_ROWS, WINDOW_AXES = 10 * MAX_INPUTS, 2
Key = tuple[int, int]
"""Index and monotonic time of an input: an index alone begins anew with its source."""
Row = Mapping[str, Any]
_INPUT = re.compile(r"inputs/\d{6}\.(jpg|png|npy)")
_READ_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    EOFError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording; inputs are decoded when they are asked for."""

    place: Path
    manifest: Row
    inputs: tuple[Row, ...]
    results: tuple[Row, ...]
    events: tuple[Row, ...]
    readings: tuple[Row, ...]
    read: Callable[[str], bytes]

    @property
    def is_exact(self) -> bool:
        """Whether its inputs are to the bit what the model was shown."""
        return not any(str(row.get("file", "")).endswith(".jpg") for row in self.inputs)

    @property
    def shows_pictures(self) -> bool:
        """Whether its inputs are pictures, and not windows of samples."""
        return not any(str(row.get("file", "")).endswith(".npy") for row in self.inputs)

    def frame(self, row: Row) -> Frame:
        """Give an input as its pipeline took it, with its own stamp. Raises ConfigError when it is damaged."""
        stamp = Stamp(row["index"], row["mono_ns"], row["wall_ns"], row["source_s"])
        try:
            return Frame(_decoded(str(row["file"]), self.encoded(row)), stamp)
        except (*_READ_ERRORS, FrameError) as error:
            raise self._damaged(row, error) from error

    def encoded(self, row: Row) -> bytes:
        """Give an input as it lies in the recording. Raises ConfigError when it is damaged."""
        name = str(row["file"])
        if not _INPUT.fullmatch(name):
            message = f"cannot read {name!r} in {self.place}: it is no name of an input, expected one such as inputs/000000.jpg"
            raise ConfigError(message)
        try:
            return self.read(name)
        except _READ_ERRORS as error:
            raise self._damaged(row, error) from error

    def calibration(self) -> bytes | None:
        """Give what the pipeline had learned of its machine; None when there is nothing."""
        try:
            return self.read(CALIBRATION)
        except (KeyError, FileNotFoundError):
            return None
        except _READ_ERRORS as error:
            raise self._damaged({"file": CALIBRATION}, error) from error

    def _damaged(self, row: Row, error: Exception) -> ConfigError:
        message = f"cannot read {row['file']} in {self.place}: {error}, expected the input that was recorded"
        return ConfigError(message, remedy="copy the recording again")


def read_clip(place: Path) -> Clip:
    """Read a recording. Raises ConfigError when there is none, or it is torn or damaged."""
    try:
        read = _members(place)
        manifest = json.loads(read(MANIFEST))
        rows = {kind: _rows(kind, read(name)) for kind, name in ROWS.items()}
    except _READ_ERRORS as error:
        raise _unreadable(place, error) from error
    return Clip(place, _checked(place, manifest), rows["input"], rows["result"], rows["event"], rows["reading"], read)


def read_manifest(place: Path) -> Row:
    """Read what a recording says of itself, without its rows. Raises ConfigError as ``read_clip`` does."""
    try:
        manifest = json.loads(_members(place)(MANIFEST))
    except _READ_ERRORS as error:
        raise _unreadable(place, error) from error
    return _checked(place, manifest)


def key_of(row: Row) -> Key:
    """Give what a row is about."""
    return row["index"], row["mono_ns"]


def _checked(place: Path, manifest: Any) -> Row:
    """Give a manifest if it is one of ours; a recording may come from anybody."""
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        message = (
            f"cannot read {place}: its manifest is not of {SCHEMA}, expected a recording of this or an older edged"
        )
        raise ConfigError(message)
    missing = _lacking(manifest, NEEDED) or [
        *_lacking(manifest["counts"], _COUNTS),
        *_lacking(manifest["config"], {"pipeline": dict, "source": dict}),
        *(name for model in manifest["models"] for name in _lacking(model, _MODEL)),
    ]
    if missing:
        message = f"cannot read {place}: its manifest has no {', '.join(missing)}, expected what edged writes"
        raise ConfigError(message, remedy="copy it again")
    return manifest


def _unreadable(place: Path, error: Exception) -> ConfigError:
    if place.suffix == PART:
        message = f"cannot read {place.name}: it is torn: the power went, or edged was ended, while it was written"
        return ConfigError(message, remedy="it goes by itself when its place is needed")
    if not place.exists():
        message = f"cannot read recording {place}: there is none, expected a file that edged recorded, or its folder"
        return ConfigError(message, remedy="edgectl record list shows those of this box")
    why = f"{type(error).__name__}: {error}"
    return ConfigError(f"cannot read recording {place}: {why}, expected a whole one", remedy="copy it again")


def _members(place: Path) -> Callable[[str], bytes]:
    # Opened once: of five minutes the list of members takes as long to read as many inputs. It is closed with the last who reads.
    archive = None if place.is_dir() else zipfile.ZipFile(place)

    def read(name: str) -> bytes:
        with (place / name).open("rb") if archive is None else archive.open(name) as stream:
            data = stream.read(MAX_MEMBER_BYTES + 1)
        if len(data) > MAX_MEMBER_BYTES:
            message = f"{name} is larger than {MAX_MEMBER_BYTES} bytes"
            raise ValueError(message)
        return data

    return read


def _rows(kind: Kind, data: bytes) -> tuple[Row, ...]:
    lines = data.splitlines()
    if len(lines) > MAX_ROWS:
        message = f"{ROWS[kind]} has {len(lines)} rows, expected at most {MAX_ROWS}"
        raise ValueError(message)
    return tuple(_row(kind, json.loads(line)) for line in lines)


def _row(kind: Kind, row: Any) -> Row:
    missing = _lacking(row, NEEDED_ROWS[kind]) if isinstance(row, dict) else ["names"]
    if kind == "result" and not missing:
        missing = _lacking(row["model"], _MODEL)
    if missing:
        message = f"a row of {ROWS[kind]} has no {', '.join(missing)}"
        raise ValueError(message)
    found: Row = row
    return found


def _lacking(document: Any, needed: Mapping[str, _Kinds]) -> list[str]:
    """Name what a document lacks, or has as what cannot be used."""
    told = document if isinstance(document, dict) else {}
    return sorted(name for name, kind in needed.items() if not _is_usable(told.get(name), kind))


def _is_usable(value: Any, kind: _Kinds) -> bool:
    if isinstance(value, str):
        return kind is str and _CONTROL.search(value) is None
    if isinstance(value, float) and not isfinite(value):
        return False
    return isinstance(value, kind) and (kind is bool) == isinstance(value, bool)


def _decoded(name: str, data: bytes) -> Array:
    if name.endswith(".npy"):
        window: Array = np.load(io.BytesIO(data), allow_pickle=False)
        if window.ndim != WINDOW_AXES or window.dtype != np.float32:
            message = f"{window.shape} of {window.dtype}, expected a window of samples and channels of float32"
            raise ValueError(message)
        return window
    picture: Array = adapter("edged.sources.images").decode_picture(data)
    return picture
