"""Models that were compiled for a device, kept on disk: TensorRT's engines and OpenVINO's blobs.

One folder holds one model for one device and runtime. It is made under another name, with a record of what lies in it, and takes its
name when it is whole; what does not fit its record any more is thrown away. The whole is bounded: what was not used for longest goes first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edged.domain.errors import DeviceError

FOLDER = "engines"
"""In the state directory."""
MAX_BYTES = 1_073_741_824
"""An engine has about the size of its model, on small devices 5 to 100 MB: a dozen of them, and never the whole of an SD card."""
RECORD, BEGUN, MAKING = "made.json", "begun.json", ".new"
SCHEMA = "edged.engine/1"


@dataclass(frozen=True, slots=True)
class Key:
    """What a compiled model is good for: any other value in any field, and it is compiled anew."""

    sha256: str
    """Of the model's file."""
    accelerator: str
    precision: str
    runtime: str
    """ONNX Runtime and, where it is known, TensorRT, with their versions."""
    device: str
    """The device's name, which tells its compute capability, and its driver's version."""

    @property
    def name(self) -> str:
        """Give its folder's name: the model and the accelerator first, for people."""
        rest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.sha256[:16]}-{self.accelerator}-{rest[:16]}"


class EngineCache:
    """The folder of them. One process makes, others may look."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def __repr__(self) -> str:
        return f"<EngineCache {self._folder}: {len(list(self._made()))} engines>"

    def has(self, key: Key) -> bool:
        """Whether it was made; ``find`` looks whether it is whole, too."""
        return _read(self._folder / key.name / RECORD) is not None

    def find(self, key: Key) -> Path | None:
        """Give the folder of what was made for this key, whole as it was made; None when it has to be made, anew or at all."""
        folder = self._folder / key.name
        record = _read(folder / RECORD)
        if record is None:
            return None
        if not _is_whole(folder, record):
            self.drop(key)
            return None
        with suppress(OSError):
            os.utime(folder / RECORD)
        return folder

    def begun(self, key: Key) -> float | None:
        """Give since when (in seconds of the wall clock) a process that still runs makes it; None when none does."""
        note = _read(self._making(key) / BEGUN)
        if note is None or not Path(f"/proc/{note.get('pid')}").exists():
            return None
        return float(note["at"])

    def begin(self, key: Key) -> Path:
        """Give an empty folder to make it in. Raises DeviceError when the disk has none."""
        folder = self._making(key)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            (folder / BEGUN).write_text(json.dumps({"pid": os.getpid(), "at": time.time()}), encoding="ascii")
        except OSError as error:
            raise _unkept(key, error.strerror or str(error)) from error
        return folder

    def finish(self, key: Key) -> Path:
        """Keep what was made, and let go what it stands for or has no room beside it. Raises DeviceError when there is nothing to keep."""
        making, folder = self._making(key), self._folder / key.name
        try:
            (making / BEGUN).unlink(missing_ok=True)
            record = _recorded(key, making)
            size = record["bytes"]
            if not record["files"] or size > self._max_bytes:
                shutil.rmtree(making, ignore_errors=True)
                room = f"it takes {size} bytes, expected at most {self._max_bytes}"
                raise _unkept(key, room if record["files"] else "it wrote no file")
            _write(making / RECORD, record)
            shutil.rmtree(folder, ignore_errors=True)
            making.rename(folder)
        except OSError as error:
            shutil.rmtree(making, ignore_errors=True)
            raise _unkept(key, error.strerror or str(error)) from error
        self._trim(key)
        return folder

    def accept(self, key: Key) -> None:
        """Record what a session that has just loaded it left there.

        A runtime that cannot use what it kept compiles anew by itself and writes that. OpenVINO 2025.4 does so at each load on a processor.
        """
        folder = self._folder / key.name
        record = _read(folder / RECORD)
        with suppress(OSError):
            if record is not None and not _is_untouched(folder, record):
                _write(folder / RECORD, _recorded(key, folder))

    def drop(self, key: Key) -> None:
        """Throw it away: it was damaged, or does not load."""
        shutil.rmtree(self._folder / key.name, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a process that has ended left half made."""
        for making in self._folder.glob(f"*{MAKING}"):
            note = _read(making / BEGUN)
            if note is None or not Path(f"/proc/{note.get('pid')}").exists():
                shutil.rmtree(making, ignore_errors=True)

    def _trim(self, key: Key) -> None:
        """Let go engines of the same model for a runtime or device that is no more, then the longest unused, down to the bound."""
        kept = 0
        for folder, record in sorted(self._made(), key=lambda one: _used_at(one[0]), reverse=True):
            is_this = folder.name == key.name
            is_replaced = not is_this and _replaces(key, record)
            kept += 0 if is_replaced else int(record["bytes"])
            if is_replaced or (kept > self._max_bytes and not is_this):
                shutil.rmtree(folder, ignore_errors=True)

    def _made(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for folder in self._folder.glob("*"):
            record = _read(folder / RECORD)
            if record is not None and folder.suffix != MAKING:
                yield folder, record

    def _making(self, key: Key) -> Path:
        return self._folder / f"{key.name}{MAKING}"


def _replaces(key: Key, record: dict[str, Any]) -> bool:
    wanted = (key.sha256, key.accelerator, key.precision)
    return wanted == tuple(record["key"].get(name) for name in ("sha256", "accelerator", "precision"))


def _recorded(key: Key, folder: Path) -> dict[str, Any]:
    """Tell what lies in a folder, with the digest of each file and when it was written."""
    files = {
        one.name: [_digest(one), one.stat().st_mtime_ns]
        for one in sorted(folder.iterdir())
        if one.is_file() and one.name != RECORD
    }
    size = sum((folder / name).stat().st_size for name in files)
    return {"schema": SCHEMA, "key": asdict(key), "files": files, "bytes": size}


def _is_whole(folder: Path, record: dict[str, Any]) -> bool:
    try:
        return all(_digest(folder / name) == digest for name, (digest, _) in record["files"].items())
    except OSError:
        return False


def _is_untouched(folder: Path, record: dict[str, Any]) -> bool:
    there = {one.name: one.stat().st_mtime_ns for one in folder.iterdir() if one.is_file() and one.name != RECORD}
    return there == {name: written_ns for name, (_, written_ns) in record["files"].items()}


def _used_at(folder: Path) -> float:
    with suppress(OSError):
        return (folder / RECORD).stat().st_mtime
    return 0.0


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _write(file: Path, record: dict[str, Any]) -> None:
    """Write the record once everything that it tells of is on the disk."""
    for name in record["files"]:
        with (file.parent / name).open("rb") as stream:
            os.fsync(stream.fileno())
    with file.open("w", encoding="utf-8") as stream:
        json.dump(record, stream)
        stream.flush()
        os.fsync(stream.fileno())


def _read(file: Path) -> dict[str, Any] | None:
    """Read a record; None when it is not there or is none."""
    try:
        record = json.loads(file.read_bytes())
        fits = isinstance(record, dict) and (file.name == BEGUN or {"key", "files", "bytes"} <= record.keys())
    except (OSError, ValueError):
        return None
    return record if fits else None


def _unkept(key: Key, seen: str) -> DeviceError:
    message = f"cannot keep the model that was compiled for {key.accelerator}: {seen}"
    return DeviceError(message, remedy="free disk space in the state directory", code="engine-unkept")
