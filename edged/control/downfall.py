"""Whose fault it is that a child gave no figures: the file's, which is never tried again, or the box's, which may pass. Pure."""

from __future__ import annotations

import re
import signal

from edged.control.benchmark import Later, Unfit

CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP},
)
"""Signals that a program brings upon itself. The others come from outside: the OOM killer, an operator, a limit, or a disk that cannot
give a page of a mapped file (SIGBUS)."""

BOX = re.compile(
    r"bad_alloc|out of memory|cannot allocate|(?:failed|unable) to allocate|MemoryError|ENOMEM"
    r"|no space left|input/output error|read-only file system|too many open files|stale file handle|disk quota"
    r"|resource temporarily unavailable",
    re.IGNORECASE,
)
"""How runtimes, the C library and Python tell of memory, disk and descriptors; the words of ``strerror`` among them."""

SPOKEN = frozenset({"BundleError", "RefusedBundleError", "EngineLostError"})
"""Errors that speak of the file: what its runtime says of it when it loads or runs."""


def death(status: int, doing: str, said: str) -> Unfit | Later:
    """Judge a child that ended by itself.

    Args:
        status: how, as ``subprocess`` gives it: negative for a signal.
        doing: what it did then.
        said: the last that it printed.
    """
    lines = [line.strip() for line in said.split("\n") if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    if status == -signal.SIGKILL:
        return Later(f"the system ended it while {doing}: memory may be short")
    how = f"crashed with {_name(-status)}" if status < 0 else f"ended the process with status {status}"
    is_the_box = BOX.search(said) or (status < 0 and -status not in CRASHES)
    return Later(f"{doing} {how}{last}") if is_the_box else Unfit(f"{doing} {how}{last}")


def failure(kind: str, message: str) -> Unfit | Later:
    """Judge what a child told of itself: the name of an error, and its words."""
    return Unfit(message) if kind in SPOKEN and not BOX.search(message) else Later(message)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
