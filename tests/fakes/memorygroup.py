"""A real control group with a memory limit, and neighbours in it that take what is left. Needs root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fakes.waiting import until

MIB = 2**20
V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
HOG = """
import sys, time
from pathlib import Path
used_file, kills_file, limit, share = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
def used():
    cache = [int(l.split()[1]) for l in (used_file.parent / "memory.stat").read_text().splitlines() if l.split()[0] in
             ("total_inactive_file", "inactive_file")][-1]
    return int(used_file.read_text()) - cache
def kills():
    return sum(int(l.split()[1]) for l in kills_file.read_text().splitlines() if l.startswith("oom_kill "))
before, hoard = kills(), []
while kills() == before:
    if used() < share * limit:
        hoard.append(b"x" * (2 << 20))
    time.sleep(0.01)
"""
"""Takes memory until the group's use is ``share`` of its limit, stays there, and ends when the kernel has killed something."""
NEIGHBOURS = 3
"""So that none of them alone is the largest."""


class MemoryGroup:
    """A group below the root of its hierarchy, with a limit. Raises OSError where none may be made."""

    def __init__(self, limit_mb: int) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._limit = limit_mb * MIB
        is_v1 = V1.is_dir()
        self.folder = (V1 if is_v1 else V2) / f"edged-test-{os.getpid()}"
        names = ("memory.usage_in_bytes", "memory.oom_control") if is_v1 else ("memory.current", "memory.events")
        self._used, self._kills = (self.folder / name for name in names)
        try:
            self.folder.mkdir()
            (self.folder / ("memory.limit_in_bytes" if is_v1 else "memory.max")).write_text(str(self._limit))
        except OSError:
            with suppress(OSError):
                self.folder.rmdir()
            raise
        with suppress(OSError):
            name, value = ("memory.swappiness", "0") if is_v1 else ("memory.swap.max", "0")
            (self.folder / name).write_text(value)

    def inside(self, program: Sequence[str]) -> tuple[str, ...]:
        """Give the command that runs a program in the group."""
        return ("sh", "-c", f'echo $$ >{self.folder}/cgroup.procs && exec "$@"', "sh", *program)

    def fill(self, share: float) -> list[subprocess.Popen[bytes]]:
        """Start the neighbours."""
        arguments = (str(self._used), str(self._kills), str(self._limit), str(share))
        command = self.inside((sys.executable, "-c", HOG, *arguments))
        started = [subprocess.Popen(command) for _ in range(NEIGHBOURS)]
        self._processes += started
        return started

    @property
    def kills(self) -> int:
        """How often the kernel killed a process here for memory."""
        lines = self._kills.read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        until(lambda: not (self.folder / "cgroup.procs").read_text().split(), "the end of all that ran in the group")
        self.folder.rmdir()
