"""The C library's heap: memory that was freed goes back to the box.

glibc keeps what a thread freed in that thread's own arena. Loading and trying a model frees megabytes that nothing on
this box will ask for again, and each of a daemon's threads would hold on to its share.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

ARENAS = 2
"""Threads mostly wait for Python's lock; more arenas than this gained no speed and held megabytes."""

_M_ARENA_MAX = -8
"""glibc's <malloc.h>."""
_MADV_DONTNEED = 4
"""<asm-generic/mman-common.h>. On a mapping that was never written to, nothing is lost."""
_READ_ONLY = frozenset({"r--p", "r--s"})


def limit_arenas() -> None:
    """Bound the number of arenas, for threads that start from now on. Does nothing on another C library."""
    mallopt = _find("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Give free pages of every arena back; takes less than a millisecond. Does nothing on another C library."""
    malloc_trim = _find("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def drop_file_pages(file: Path) -> None:
    """Give the resident pages of a file that is mapped here back to the box; who needs one again reads it again.

    A runtime that has packed a model's weights into a form of its own never looks at the file again, and would hold it in memory twice.
    """
    madvise = _find("madvise")
    if madvise is None:
        return
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in maps.splitlines():
        bounds, access, *_, name = line.split(maxsplit=5)
        if name == str(file) and access in _READ_ONLY:
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _find(name: str) -> ctypes._NamedFuncPointer | None:
    """Look a function up in the C library of this process; musl has neither of the two."""
    try:
        found: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return found
