"""Waiting for threads and processes: until something is so, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

LONGEST_S = 60.0
"""On a busy machine; where the fact comes, waiting longer for it costs nothing."""


def until(fact: Callable[[], object], what: str, within_s: float = LONGEST_S, every_s: float = 0.005) -> None:
    """Return as soon as ``fact`` holds; fail when it does not within the time."""
    deadline = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > deadline:
            pytest.fail(f"did not happen within {within_s} s: {what}")
        time.sleep(every_s)


def starved_s(thread: str = "thread-self") -> float:
    """Give how long a thread waited for a processor so far, this one or ``self/task/ID``: a busy machine alone makes it do so."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{thread}/schedstat").read_text("ascii").split()[1]) / 1e9
    return 0.0
