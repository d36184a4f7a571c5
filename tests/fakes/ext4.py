"""A real ext4 on a loop device whose power fails when a test says so: ``EXT4_IOC_SHUTDOWN``, as xfstests does it.

From the shutdown on nothing reaches the device, and what was only in memory is gone at the next mount, which replays the journal.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edged.update.disk import LocalDisk
from fakes.disk import PowerCutError

EXT4_IOC_SHUTDOWN = 0x8004587D
LOGFLUSH, NOLOGFLUSH = 1, 2
"""The journal is still written, without the data that it tells of; or not even that."""
TOOLS = ("mkfs.ext4", "mount", "umount")
OPTIONS = "loop,noauto_da_alloc"
"""Without the heuristic that saves programs which forget to sync: a box may run on another file system."""
SIZE_BYTES = 48 * 1024**2
PATIENCE_S = 10.0


@dataclass
class Volume:
    """A file with a file system in it, and where it is mounted."""

    image: Path
    path: Path

    def cut(self, flags: int = NOLOGFLUSH) -> None:
        """Take its power away."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", flags))
        finally:
            os.close(descriptor)

    def restart(self) -> None:
        """Give it power again; nobody may have a file of it open."""
        self._unmount()
        self.mount()

    def mount(self) -> None:
        run("mount", "-o", OPTIONS, str(self.image), str(self.path))

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self._unmount()

    def _unmount(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                run("umount", str(self.path))
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.02)
            else:
                return


class CuttingDisk(LocalDisk):
    """The box's own disk, on a volume that loses its power before the n-th operation."""

    def __init__(self, volume: Volume, cut_before: int | None, flags: int = NOLOGFLUSH) -> None:
        self._volume, self._cut_before, self._flags, self.operations = volume, cut_before, flags, 0

    def write(self, file: Path, blocks: Iterable[bytes], *, append: bool = False) -> None:
        self._step()
        super().write(file, blocks, append=append)

    def sync(self, place: Path) -> None:
        self._step()
        super().sync(place)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def link(self, file: Path, name: Path) -> None:
        self._step()
        super().link(file, name)

    def make_folder(self, folder: Path) -> None:
        self._step()
        super().make_folder(folder)

    def remove(self, place: Path) -> None:
        self._step()
        super().remove(place)

    def _step(self) -> None:
        self.operations += 1
        if self.operations == self._cut_before:
            try:
                self._volume.cut(self._flags)
            except OSError as error:  # the flow under test would take it for trouble of the disk's
                message = f"the volume keeps its power: {error}"
                raise AssertionError(message) from error
            raise PowerCutError


@contextmanager
def mortal(folder: Path) -> Iterator[Volume]:
    """Give a volume in memory, or skip with the reason where this machine makes none whose power could be cut."""
    with memory(folder) as fast:
        why = _refusal(fast / "try")
        if why:
            pytest.skip(f"no ext4 whose power could be cut: {why}")
        with ext4(fast / "box") as made:
            yield made


@contextmanager
def ext4(folder: Path) -> Iterator[Volume]:
    """Make a volume below ``folder`` and mount it. Raises OSError or CalledProcessError where this machine does not allow that."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() or missing:
        message = f"cannot mount: {'not root' if os.geteuid() else ', '.join(missing)}"
        raise PermissionError(message)
    volume = Volume(folder / "volume.img", folder / "volume")
    volume.path.mkdir(parents=True)
    with volume.image.open("wb") as image:
        image.truncate(SIZE_BYTES)
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(volume.image))
    volume.mount()
    try:
        yield volume
    finally:
        volume.close()


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=60)


@contextmanager
def memory(folder: Path) -> Iterator[Path]:
    """Give a folder in memory where there is one, else ``folder``: the device below the file system syncs at once there."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else folder) as made:
        yield Path(made)


def _refusal(folder: Path) -> str:
    """Say why there is no such volume on this machine; empty when there is."""
    try:
        with ext4(folder) as volume:
            volume.cut()
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None)
        return f"{error}{f': {said.decode().strip()}' if said else ''}"
    return ""
