"""The machine's clocks, whether the kernel trusts the wall clock, and which boot this is."""

from __future__ import annotations

import ctypes
import re
import time
from pathlib import Path

from edged.hardware.tree import Tree

BOOT_ID = "proc/sys/kernel/random/boot_id"
UNKNOWN_BOOT = "00000000-0000-0000-0000-000000000000"

_TIME_ERROR = 5
_STA_UNSYNC = 0x0040
_STATUS_INDEX = 5
_TIMEX_LONGS = 64
"""``struct timex`` of <sys/timex.h>: modes (int), offset, freq, maxerror, esterror (long), status (int), …; 208 bytes on
64-bit systems, of which 512 are given so that no C library can write past the end."""


class SystemClock:
    """The port Clock on the running machine."""

    def __init__(self) -> None:
        """Find adjtimex once; without it the clock counts as not synchronised."""
        self._adjtimex = _find_adjtimex()

    # Without a call of Python's around them: each frame and each request asks several times.
    monotonic_ns = staticmethod(time.monotonic_ns)
    """Nanoseconds since boot, not counting sleep; never steps."""
    wall_ns = staticmethod(time.time_ns)
    """Unix time in nanoseconds; may step."""

    def synced(self) -> bool:
        """Whether something (chrony, systemd-timesyncd, PTP) disciplines the wall clock, as adjtimex(2) tells."""
        if self._adjtimex is None:
            return False
        timex = (ctypes.c_long * _TIMEX_LONGS)()  # modes 0: read only, which needs no privilege
        state = self._adjtimex(ctypes.byref(timex))
        return 0 <= state < _TIME_ERROR and not timex[_STATUS_INDEX] & _STA_UNSYNC

    def __repr__(self) -> str:
        return f"SystemClock({'synced' if self.synced() else 'unsynced'})"


def boot_id(root: Path) -> str:
    """Give the kernel's identity of this boot; zeros where it cannot be read."""
    found = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", Tree(root).text(BOOT_ID) or "", re.ASCII)
    return found[0] if found else UNKNOWN_BOOT


def _find_adjtimex() -> ctypes._NamedFuncPointer | None:
    """Look up adjtimex in the C library of this process."""
    try:
        return ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
