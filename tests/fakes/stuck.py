"""What hangs, as on a network disk whose server is away: a file that nobody can open, and a folder into which nobody can look."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HOLDER = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR)
try:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
except OSError as error:
    sys.exit(f"no lease: {error}")
print("held", flush=True)
sys.stdin.read()
"""


class StuckFile:
    """Another process holds a write lease on it (fcntl(2)): for 45 s, the kernel's patience with that, or until it is closed."""

    def __init__(self, file: Path) -> None:
        pipe = subprocess.PIPE
        self._holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(file)], stdin=pipe, stdout=pipe, stderr=pipe)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"held\n":
            _, why = self._holder.communicate(timeout=10)
            pytest.skip(f"needs a file system with leases: {why.decode()}")

    def close(self) -> None:
        """Let those in who wait."""
        self._holder.communicate(timeout=10)


class StuckFolder(type(Path())):  # type: ignore[misc] # PosixPath, which mypy takes for any class
    """Whoever asks what is in it, or below it, waits."""

    released = threading.Event()

    def stat(self, **more: Any) -> os.stat_result:
        assert self.released.wait(60)
        return super().stat(**more)

    def glob(self, pattern: str) -> Iterator[Path]:
        assert self.released.wait(60)
        return super().glob(pattern)


@contextmanager
def stuck_folder(folder: Path) -> Iterator[Path]:
    """Give a folder that hangs until the end."""
    StuckFolder.released.clear()
    try:
        yield StuckFolder(folder)
    finally:
        StuckFolder.released.set()
