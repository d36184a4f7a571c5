"""The C library's heap: memory that was freed goes back to the box.

glibc keeps what a thread freed in that thread's own arena. Loading and trying a model frees megabytes that nothing on
this box will ask for again, and each of a daemon's threads would hold on to its share.
"""

from __future__ import annotations

import ctypes

ARENAS = 2
"""Threads mostly wait for Python's lock; more arenas than this gained no speed and held 4 to 7 MB here."""

_M_ARENA_MAX = -8
"""glibc's <malloc.h>."""


def limit_arenas() -> None:
    """Bound the number of arenas, for threads that start from now on. Does nothing on another C library."""
    mallopt = _find("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Give free pages of every arena back; takes about a millisecond. Does nothing on another C library."""
    malloc_trim = _find("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _find(name: str) -> ctypes._NamedFuncPointer | None:
    """Look a function up in the C library of this process; musl has neither of the two."""
    try:
        found: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return found
