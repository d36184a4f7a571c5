"""A disk that is soon full: a file system in memory, mounted for a test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.waiting import until


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount one below ``folder``, or skip where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs to mount a small disk: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def remount(disk: Path, how: str, *, check: bool = True) -> None:
    """Make it read-only, ``ro``, or not, ``rw``; with ``check``, once nobody writes on it any more."""
    command = ["mount", "-o", f"remount,{how}", str(disk)]
    until(lambda: subprocess.run(command, check=False).returncode == 0 or not check, f"the disk is {how}")
