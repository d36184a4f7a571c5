"""A bundle as one file, ``NAME-VERSION.edgemodel``, and back.

The file is a plain tar: the manifest first, then every file that it names, by name; no times, owners or modes but fixed ones, so that
the same bundle gives the same bytes anywhere, and a box can make again what it once unpacked.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from edged.domain.bundle import Bundle, Manifest
from edged.domain.errors import BundleError
from edged.update.manifest import MANIFEST, files_of

SUFFIX = ".edgemodel"
MODE = 0o644
MAX_FILES = 4096
MAX_BYTES = 4 * 1024**3
"""Of all files together; twice what one may have."""
_BLOCK_BYTES = 65_536
_REMEDY = "do not use this file; pack the bundle again"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in a packed bundle: its path, and where its content lies."""

    path: PurePosixPath
    offset: int
    size: int


def packed_name(manifest: Manifest) -> str:
    """Name the file that a bundle is packed to."""
    return f"{manifest.name}-{manifest.version}{SUFFIX}"


def pack_into(bundle: Bundle, stream: IO[bytes]) -> None:
    """Write the bundle as one file's content, read piece by piece. Raises BundleError for a path that does not fit, OSError as it comes."""
    files = files_of(bundle)
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files, key=lambda one: (one != MANIFEST, one)):
            entry = tarfile.TarInfo(name)
            with files[name].open("rb") as content:
                entry.size, entry.mode = files[name].stat().st_size, MODE
                try:
                    archive.addfile(entry, content)
                except ValueError as error:
                    message = f"cannot pack {name!r}: {error}, expected a path of at most 255 characters"
                    raise BundleError(message) from error


def unpack(file: Path, folder: Path) -> None:
    """Write a packed file's content below ``folder``, which is empty.

    Every entry is checked before anything is written, and only what is checked is: no links, devices, absolute or climbing names, none
    twice, and no more than the bounds.

    Raises:
        BundleError: An entry is none of a packed bundle's, or the file is cut off.
    """
    try:
        with file.open("rb") as stream:
            for entry in entries(stream, file.name):
                _extract(stream, entry, folder.joinpath(*entry.path.parts))
    except OSError as error:
        raise _unreadable(file.name, error) from error


def entries(stream: IO[bytes], name: str) -> tuple[Entry, ...]:
    """List what a packed file holds. ``name`` is its own, for messages. Raises BundleError as ``unpack`` does."""
    found = tuple(_entries(stream, name))
    if PurePosixPath(MANIFEST) not in {entry.path for entry in found}:
        message = f"cannot unpack {name}: it holds no {MANIFEST}, expected a packed bundle"
        raise BundleError(message)
    return found


def _extract(stream: IO[bytes], entry: Entry, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    stream.seek(entry.offset)
    left = entry.size
    with target.open("xb") as written:
        while left and (block := stream.read(min(left, _BLOCK_BYTES))):
            written.write(block)
            left -= len(block)


def _entries(stream: IO[bytes], name: str) -> Iterator[Entry]:
    """Walk the heads. Not tarfile's own walk: its extended heads hold names and numbers of any length, all read into memory."""
    seen: set[PurePosixPath] = set()
    length = stream.seek(0, 2)
    offset = total = 0
    while (head := _head(stream, offset, name)) is not None:
        offset += tarfile.BLOCKSIZE
        total += head.size
        path = PurePosixPath(head.name)
        why = _objection(head, path, seen, total) or ("is cut off" if offset + head.size > length else "")
        if why:
            message = f"cannot unpack {name}: {head.name!r} {why}"
            raise BundleError(message, remedy=_REMEDY)
        seen.add(path)
        yield Entry(path, offset, head.size)
        offset += -(-head.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _head(stream: IO[bytes], offset: int, name: str) -> tarfile.TarInfo | None:
    stream.seek(offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if block == bytes(tarfile.BLOCKSIZE):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.TarError, ValueError) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> BundleError:
    message = f"cannot read {name}: {' '.join(str(error).split())[:120]}, expected a file that bundle pack wrote"
    return BundleError(message, remedy="pack the bundle again")


def _objection(head: tarfile.TarInfo, path: PurePosixPath, seen: set[PurePosixPath], total: int) -> str:
    # Sparse files count as regular for tarfile, and would fill the disk out of nothing.
    if head.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or head.size < 0:
        return "is no regular file, expected files only"
    if path.is_absolute() or ".." in path.parts or "\\" in head.name or not path.parts:
        return "leads out of the bundle, expected a path inside it"
    if path in seen or any(parent in seen for parent in path.parents):
        return "stands twice, expected each file once"
    if total > MAX_BYTES or len(seen) >= MAX_FILES:
        return f"is one too many, expected at most {MAX_FILES} files of {MAX_BYTES} bytes in all"
    return ""
