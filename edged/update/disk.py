"""The few operations that change a disk, one method each, so that a power cut between any two can be tested."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from edged.domain.errors import DeviceError
from edged.fleet.synced import sync


class Disk(Protocol):
    """What the store asks of a file system. Each method raises DeviceError when the disk refuses.

    Nothing is durable before ``sync`` of the file *and* of the folder that names it.
    """

    def write(self, file: Path, blocks: Iterable[bytes], *, append: bool = False) -> None:
        """Write a file from its start, or behind its end."""

    def sync(self, place: Path) -> None:
        """Bring a file's content, or a folder's list of names, to the disk."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name; a file of that name is replaced in the same moment."""

    def link(self, file: Path, name: Path) -> None:
        """Give a file a second name."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder in one that exists; one that is there already is no fault."""

    def remove(self, place: Path) -> None:
        """Remove a file, or a folder with all in it; one that is absent is no fault."""


class LocalDisk:
    """The box's own disk."""

    def write(self, file: Path, blocks: Iterable[bytes], *, append: bool = False) -> None:
        """Write a file from its start, or behind its end."""
        with _mapped("write", file), file.open("ab" if append else "wb") as stream:
            for block in blocks:
                stream.write(block)

    def sync(self, place: Path) -> None:
        """Bring a file's content, or a folder's list of names, to the disk."""
        with _mapped("sync", place):
            sync(place)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name; a file of that name is replaced in the same moment."""
        with _mapped("rename", old):
            old.replace(new)

    def link(self, file: Path, name: Path) -> None:
        """Give a file a second name."""
        with _mapped("link", name):
            os.link(file, name)

    def make_folder(self, folder: Path) -> None:
        """Make a folder in one that exists; another thread may have made it just now."""
        with _mapped("make", folder):
            folder.mkdir(mode=0o755, exist_ok=True)

    def remove(self, place: Path) -> None:
        """Remove a file, or a folder with all in it; one that is absent is no fault."""
        with _mapped("remove", place):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)


@contextmanager
def _mapped(verb: str, place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A reader's error comes through write's blocks with the name of its own file.
        message = f"cannot {verb} {error.filename or place}: {error.strerror}, expected a disk that takes it"
        raise DeviceError(message, code="disk") from error
