"""Other work on the box: processes that take every processor that they can get."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SPIN = "while True: pass"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes busy meanwhile, as urgent as any other."""
    started = [subprocess.Popen([sys.executable, "-S", "-c", SPIN]) for _ in range(processes)]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()
