"""A support archive: everything gathered, without secrets, as much as fits, in one file that is the same for the same content."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from edged.assembly.support_sources import READ_S, Kind, Piece
from edged.assembly.within import within
from edged.config.read import parse_toml
from edged.domain.errors import ConfigError, DeviceError, EdgedError
from edged.fleet.topics import rfc3339
from edged.telemetry.redaction import Redaction

SCHEMA = "edged.support/1"
MANIFEST = "manifest.json"
PREFIX, SUFFIX = "edged-support-", ".tar.gz"
NS_PER_S = 1_000_000_000
ROOM_BYTES, HEAD_BYTES = 65_536, 400
"""For the manifest, and for what a member takes besides its content, packed."""
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive."""

    name: str
    about: str
    content: bytes
    packed_bytes: int
    """About what it takes in the archive."""

    def told(self) -> dict[str, Any]:
        """Give it as the manifest has it."""
        digest = hashlib.sha256(self.content).hexdigest()
        return {"name": self.name, "about": self.about, "bytes": len(self.content), "sha256": digest}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not in it, and why."""

    name: str
    about: str
    why: str

    def told(self) -> dict[str, str]:
        """Give it as the manifest has it."""
        return {"name": self.name, "about": self.about, "why": self.why}


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything that goes in, in the order of importance."""

    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def packed_bytes(self) -> int:
        """About how large the archive becomes."""
        return ROOM_BYTES // 16 + sum(member.packed_bytes for member in self.members)

    def told(self) -> dict[str, Any]:
        """Give it as the manifest has it."""
        named = sorted(self.members, key=lambda member: member.name)
        return {"members": [member.told() for member in named], "left_out": [one.told() for one in self.left_out]}


@dataclass(frozen=True, slots=True)
class Written:
    """An archive that lies on the disk."""

    file: Path
    size_bytes: int
    sha256: str


def gather(pieces: Iterable[Piece], max_bytes: int) -> Gathered:
    """Read everything, take the secrets out, and leave out what no longer fits.

    Everything is gone through twice: a secret that stands in one place is hidden in all others, whatever was read first.
    """
    redaction = Redaction(known_keys())
    room = max_bytes - ROOM_BYTES
    members: list[Member] = []
    left_out: list[LeftOut] = []
    # Raw pieces teach nothing, and twenty megabytes of them need not be held at once.
    found = [(piece, *(_had(piece) if piece.kind != "raw" else (None, ""))) for piece in pieces]
    for piece, content, why in found:
        if not why and piece.kind != "raw":
            _redacted(content, piece.kind, redaction)
    for piece, had, fault in found:
        content, why = _had(piece) if piece.kind == "raw" else (had, fault)
        if why:
            left_out.append(LeftOut(piece.name, piece.about, redaction.text(why)))
            continue
        shown = _redacted(content, piece.kind, redaction)
        packed = len(zlib.compress(shown))
        if packed + HEAD_BYTES > room:
            left_out.append(
                LeftOut(piece.name, piece.about, f"it takes {packed / MB:.1f} MB, and the archive has no room for it")
            )
            continue
        room -= packed + HEAD_BYTES
        members.append(Member(piece.name, piece.about, shown, packed + HEAD_BYTES))
    return Gathered(tuple(members), tuple(left_out))


def write(file: Path, gathered: Gathered, device: str, at_ns: int) -> Written:
    """Write the archive, for its owner's eyes alone. Raises DeviceError when the disk does not take it.

    Args:
        file: where it shall lie; what lies there is replaced.
        gathered: what goes in.
        device: whose it is.
        at_ns: the time of every file in it, and of the archive, Unix time in nanoseconds.
    """
    folder, at_s = file.name.removesuffix(SUFFIX), at_ns // NS_PER_S
    about = {"at": rfc3339(at_ns), "device": device, "version": version("edged"), "user": os.geteuid()}
    first = Member(MANIFEST, "", _json({"schema": SCHEMA, **about, **gathered.told()}), 0)
    beside = file.with_name(f".{file.name}.new")
    try:
        with (
            _opened(beside) as raw,
            gzip.GzipFile("", "wb", 9, raw, at_s) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            for member in (first, *sorted(gathered.members, key=lambda member: member.name)):
                tar.addfile(_info(f"{folder}/{member.name}", len(member.content), at_s), io.BytesIO(member.content))
        with beside.open("rb") as stream:
            os.fsync(stream.fileno())
            content = stream.read()
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        message = f"cannot write {file}: {error.strerror}, expected a disk that takes it"
        raise DeviceError(message, code="disk") from error
    return Written(file, len(content), hashlib.sha256(content).hexdigest())


def name_of(device: str, at_ns: int) -> str:
    """Name an archive by its box and its time."""
    return f"{PREFIX}{device}-{re.sub(r'[-:]', '', rfc3339(at_ns))[:15]}Z{SUFFIX}"


@cache
def known_keys() -> frozenset[str]:
    """Give every key that a configuration may have, at whatever depth, but those below which packages have keys of their own."""
    schema = json.loads((files("edged.config") / "edged.schema.json").read_bytes())
    shapes = [schema, *schema.get("$defs", {}).values()]
    properties = (item for shape in shapes for item in shape.get("properties", {}).items())
    return frozenset(key for key, value in properties if value.get("additionalProperties") is not True)


def _had(piece: Piece) -> tuple[Any, str]:
    """Read a piece; otherwise say why it cannot be had."""
    try:
        return within(READ_S, piece.read), ""
    except EdgedError as error:
        return None, str(error)
    except FileNotFoundError:
        return None, "there is none"
    except PermissionError as error:
        return None, f"{error.strerror}: sudo edgectl support reads it"
    except OSError as error:
        return None, error.strerror or str(error)


def _redacted(found: Any, kind: Kind, redaction: Redaction) -> bytes:
    if kind == "json":
        return _json(redaction.document(found))
    if kind == "raw":
        raw: bytes = found
        return raw
    text = found.decode("utf-8", "replace")
    if kind == "text":
        return redaction.lines(text).encode()
    try:
        document = json.loads(text) if text.startswith("{") else parse_toml(text)
    except (ValueError, ConfigError, RecursionError):
        # Why is not told here: a parser's words may hold a part of the line.
        return f"cannot be read as TOML; what is known of it:\n{redaction.broken(text)}".encode()
    return _json(redaction.configuration(document))


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n").encode("utf-8", "replace")


def _opened(file: Path) -> io.FileIO:
    # Root may write it into a folder of everybody's, where somebody put a link in its place.
    file.unlink(missing_ok=True)
    return io.FileIO(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w")


def _info(name: str, size: int, at_s: int) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.mtime, made.mode = size, at_s, 0o600
    return made
