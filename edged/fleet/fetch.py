"""Brings a file whose length and digest are signed: whatever way it comes, resumed where it stopped, and no byte more than was signed.

A download lies in ``<sha256>.part``, with what is known of its source in ``<sha256>.part.json``, until it is whole and the right one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edged.domain.errors import RetryableError
from edged.fleet.pace import Pace
from edged.fleet.synced import sync

RESERVE_BYTES = 32 * 1024**2
"""What a download leaves free: the outbox and the journal live on the same disk."""
KEEP_S = 14 * 24 * 3600.0
"""How long what came of a download waits for its rest: after two weeks something else is wanted."""
_READ_BYTES = 1024**2


class AbsentError(Exception):
    """The source has no such file (404), or says so to whoever must not see it (403)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """``blocks`` begin at ``offset``, 0 where the source cannot begin elsewhere. ``tag`` changes with the file; empty: unknown."""

    offset: int
    tag: str
    blocks: Iterator[bytes]


class Transport(Protocol):
    """A way to a repository. Used by one thread."""

    def read(self, path: str, offset: int = 0, tag: str = "") -> AbstractContextManager[Reply]:
        """Ask for a file from ``offset`` on, if it is still the one that ``tag`` names.

        Raises AbsentError when there is none, RetryableError when nothing comes; so may the blocks.
        """


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file: where it lies in the repository, and what was signed of it."""

    path: str
    length: int
    sha256: str


Progress = Callable[[int, int], None]
"""Takes the bytes that are there, and all."""


def read_whole(transport: Transport, path: str, most: int) -> bytes:
    """Give a small file's content. Raises as ``Transport``; RetryableError, code ``endless-data``, for more than ``most`` bytes."""
    content = bytearray()
    with transport.read(path) as reply:
        for block in reply.blocks:
            content += block
            if len(content) > most:
                message = f"cannot read {path}: more than {most} bytes came, expected at most those"
                raise RetryableError(message, code="endless-data")
    return bytes(content)


def download(
    transport: Transport, wanted: Wanted, folder: Path, pace: Pace, progress: Progress = lambda _done, _all: None
) -> Path:
    """Bring a file to ``folder``, where it then lies as its digest, durably.

    Raises RetryableError: network, slow-retrieval, absent, disk-full, disk, digest. What came stays for the next try, unless it is wrong.
    """
    place = folder / wanted.sha256
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if place.exists() and _digest(place).hexdigest() == wanted.sha256:
            progress(wanted.length, wanted.length)
            return place
        _forget_old(folder, wanted)
        part = _Part(folder, wanted)
        _leave_room(folder, wanted.length - part.size)
        return _brought(transport, part, place, pace, progress)
    except OSError as error:
        message = f"cannot keep {wanted.path}: {error.strerror}, expected a disk that takes it"
        raise RetryableError(message, code="disk-full" if error.errno == errno.ENOSPC else "disk") from error


def _brought(transport: Transport, part: _Part, place: Path, pace: Pace, progress: Progress) -> Path:
    for _ in range(2):
        resumed = part.size > 0
        _fill(transport, part, pace, progress)
        if part.is_right():
            return part.finish(place)
        part.discard()
        if not resumed:
            break
        # What lay there was poisoned, or of another file of that name: once more, from nothing.
    message = f"cannot use {part.wanted.path}: what came has another digest than {part.wanted.sha256}, expected what was signed"
    raise RetryableError(message, remedy="look at who serves it", code="digest")


def _fill(transport: Transport, part: _Part, pace: Pace, progress: Progress) -> None:
    wanted = part.wanted
    if part.size == wanted.length:
        return
    try:
        with transport.read(wanted.path, part.size, part.tag) as reply, part.written_from(reply) as stream:
            for block in reply.blocks:
                # Never more than was signed, however much comes.
                part.add(stream, block[: wanted.length - part.size])
                progress(part.size, wanted.length)
                if part.size == wanted.length:
                    return
                pace.came(len(block))
    except AbsentError as error:
        message = f"cannot find {wanted.path}: the repository does not have it, expected what its metadata lists"
        raise RetryableError(message, remedy="publish the repository again", code="absent") from error
    message = f"cannot download {wanted.path}: it ended after {part.size} bytes, expected {wanted.length}"
    raise RetryableError(message, code="network")


class _Part:
    """What has come so far."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self.wanted = wanted
        self.file = folder / f"{wanted.sha256}.part"
        self._about = folder / f"{wanted.sha256}.part.json"
        if self.file.is_symlink() or self._about.is_symlink():
            self.discard()  # a download writes where it is, and nowhere else
        self._digest: hashlib._Hash | None = None
        """Of what is there; None: not known yet. Kept up on the way: a whole release hashed at once keeps a processor busy for a second."""
        self.size = self.file.stat().st_size if self.file.exists() else 0
        self.tag = _tag_in(self._about)
        if self.size > wanted.length:
            self.discard()

    def written_from(self, reply: Reply) -> IO[bytes]:
        """Open it where the reply begins; from nothing when the source is another one than before."""
        if reply.offset != self.size or (self.tag and reply.tag and reply.tag != self.tag):
            self.discard()
            if reply.offset:
                message = f"cannot resume {self.wanted.path}: it changed at its source, expected the same file; from its start next time"
                raise RetryableError(message, code="changed")
        if reply.tag != self.tag or not self._about.exists():
            self._about.write_text(json.dumps({"tag": reply.tag, "path": self.wanted.path}), encoding="utf-8")
            self.tag = reply.tag
        return self.file.open("ab")

    def add(self, stream: IO[bytes], block: bytes) -> None:
        """Write what came."""
        digest = self._known()
        stream.write(block)
        digest.update(block)
        self.size += len(block)

    def is_right(self) -> bool:
        """Whether it is whole, and what was signed."""
        return self.size == self.wanted.length and self._known().hexdigest() == self.wanted.sha256

    def discard(self) -> None:
        """Begin anew."""
        self.file.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)
        self.size, self.tag, self._digest = 0, "", None

    def finish(self, place: Path) -> Path:
        """Give it its name, durably."""
        sync(self.file)
        self.file.replace(place)
        self._about.unlink(missing_ok=True)
        sync(place.parent)
        return place

    def _known(self) -> hashlib._Hash:
        if self._digest is None:
            self._digest = _digest(self.file) if self.size else hashlib.sha256()
        return self._digest


def _tag_in(about: Path) -> str:
    try:
        return str(json.loads(about.read_bytes()).get("tag", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _digest(file: Path) -> hashlib._Hash:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest


def _forget_old(folder: Path, wanted: Wanted) -> None:
    """Remove what nobody asked for in so long; never what is asked for now: a clock that is set meanwhile makes all of it old."""
    oldest_s = time.time() - KEEP_S
    for place in folder.iterdir():
        if place.is_file() and place.stat().st_mtime < oldest_s and not place.name.startswith(wanted.sha256):
            place.unlink()


def _leave_room(folder: Path, needed: int) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        message = f"cannot look how much room {folder} has: {error.strerror}, expected a disk that tells"
        raise RetryableError(message, code="disk") from error
    if free < needed + RESERVE_BYTES:
        message = f"cannot download {needed} bytes: {free} are free, expected {needed + RESERVE_BYTES}"
        raise RetryableError(message, remedy="make room on the disk of the state directory", code="disk-full")
