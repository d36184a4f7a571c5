"""What this process holds and no longer needs: freed memory, and pages of files that only starting looked at.

glibc keeps what a thread freed in that thread's own arena. Loading and trying a model frees megabytes that nothing on
this box will ask for again, and each of a daemon's threads would hold on to its share.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ARENAS = 2
"""Threads mostly wait for Python's lock; more arenas than this gained no speed and held megabytes."""

_M_ARENA_MAX = -8
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""glibc's <malloc.h>."""
_LARGEST = 32 << 20
"""What glibc's own growing threshold ends at (mallopt(3), M_MMAP_THRESHOLD)."""
_MADV_DONTNEED, _MADV_PAGEOUT = 4, 21
"""<asm-generic/mman-common.h>. The first loses nothing on a mapping of a file that was never written to; the second never, whatever lies
there by now, but the kernel does it only for who owns the file (since Linux 5.4)."""
_READ_ONLY = frozenset({"r--p", "r--s"})
_LIBRARY = frozenset({"r--p", "r-xp"})


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


@contextmanager
def freeing() -> Iterator[None]:
    """Give what is freed within back to the box, whichever arena it is in.

    ``trim`` leaves the top of threads' arenas alone; glibc itself cuts it when something large is freed there, but only above a
    threshold that grows with what was freed before: after a model of 14 MB to 28 MB, of which an unloaded model kept 8. A
    threshold that was set no longer grows, hence the two that stand afterwards: what frames allocate and free all the time shall neither
    be mapped anew nor cut off each time.
    """
    mallopt = _find("mallopt")
    if mallopt is None:
        yield
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST)
    mallopt(_M_TRIM_THRESHOLD, 0)
    try:
        yield
    finally:
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST)
        trim()


def drop_file_pages(file: Path) -> None:
    """Give the resident pages of a file that is mapped here back to the box; who needs one again reads it again.

    A runtime that has packed a model's weights into a form of its own never looks at the file again, and would hold it in memory twice.
    """
    for line in _lines_of(Path("/proc/self/maps")):
        bounds, access, *_, name = line.split(maxsplit=5)
        if name == str(file) and access in _READ_ONLY:
            # Another pipeline may close the same file meanwhile, and something else be mapped in its place.
            _advise(bounds, _MADV_PAGEOUT)


def drop_library_pages() -> None:
    """Give the resident pages of libraries, which are files, back to the box; what runs reads those that it needs again.

    Loading a library touches its symbols and runs its constructors, once, and the kernel maps the sixteen pages around
    each touch: of 67 MB with a camera and LiteRT, 45 MB were not looked at again. They stay in the file cache, which the
    box takes from when it is short. Who needs one takes a soft fault. Reading the table takes some 20 ms.
    """
    for bounds in untouched(_lines_of(Path("/proc/self/smaps"))):
        _advise(bounds, _MADV_DONTNEED)


def untouched(smaps: Iterable[str]) -> Iterator[str]:
    """Give the bounds of the libraries' private mappings that hold no page of their own, from the lines of ``smaps``.

    A page of its own was written to, by relocation for instance: it is in no file, and dropping it would lose it, also from swap
    (proc_pid_smaps(5): ``Anonymous`` counts those in memory, ``Swap`` those that were written out). Other files may be unmapped at
    any moment, and what is mapped in their place would be dropped; modules of Python stay until the end.
    """
    bounds = ""
    for line in smaps:
        first, _, rest = line.partition(" ")
        if not first.endswith(":"):
            access, _, _, _, *file = rest.split(maxsplit=4)
            is_library = access in _LIBRARY and any(".so" in Path(name).name for name in file)
            bounds = first if is_library else ""
        elif first == "Anonymous:" and rest.split()[0] != "0":
            bounds = ""
        elif first == "Swap:" and bounds and rest.split()[0] == "0":
            yield bounds


def _lines_of(file: Path) -> list[str]:
    """Read a table of the kernel's; empty where there is none."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _advise(bounds: str, advice: int) -> None:
    madvise = _find("madvise")
    if madvise is not None:
        start, end = (int(bound, 16) for bound in bounds.split("-"))
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


def _find(name: str) -> ctypes._NamedFuncPointer | None:
    """Look a function up in the C library of this process; musl has neither of the two."""
    try:
        found: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return found
