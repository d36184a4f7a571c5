"""A file that nobody can open, as on a network disk whose server is away: another process holds a write lease on it (fcntl(2))."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    """For 45 s, the kernel's patience with who holds a lease, or until it is closed."""

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
