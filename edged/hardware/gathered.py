"""Keeps threads that take turns at something on one processor, so that what works for them has the others to itself.

The kernel moves a thread that was woken behind a busy processor only to one that was idle by then, or later, when it looks again. Of
threads that hand each other an interpreter of two threads, one is always about to be woken as both processors are busy: a fifth of the
time one of them then idles. ``docs/adr/0018-pipelines-that-share-an-interpreter-gather.md`` has the figures.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

CAPACITY = "/sys/devices/system/cpu/cpu{}/cpu_capacity"
"""Of boxes whose processors differ in strength."""
FULL = 1024
"""The strongest one's, by the kernel's definition; where none is written all are alike."""

GATHERED = 2
"""So many times a thread asks before it goes."""

_thread = threading.local()


def gather() -> None:
    """Keep the calling thread on the processor of all who gather, from the second time that it asks for that until it scatters.

    Threads that it begins stay there, too: what it does for the first time, which may begin some, it does before. Where that is
    forbidden it stays as it is.
    """
    asked = getattr(_thread, "asked", 0)
    if asked < GATHERED:
        _thread.asked = asked + 1
    if asked + 1 == GATHERED:
        _stay_on({_meeting_point(frozenset(_ours()))})


def scatter() -> None:
    """Let the calling thread run on every processor that this process may use; one that never gathered, too."""
    if getattr(_thread, "asked", GATHERED) == GATHERED:
        _stay_on(_ours())
    _thread.asked = 0


def _ours() -> set[int]:
    # The first thread never gathers.
    return os.sched_getaffinity(os.getpid())


@cache
def _meeting_point(processors: frozenset[int]) -> int:
    """Give the strongest of these, and of equals the last: the first one often answers the devices."""
    return max(processors, key=lambda number: (_capacity(number), number))


def _capacity(number: int) -> int:
    with suppress(OSError, ValueError):
        return int(Path(CAPACITY.format(number)).read_text(encoding="ascii"))
    return FULL


def _stay_on(processors: set[int]) -> None:
    with suppress(OSError):
        os.sched_setaffinity(0, processors)
