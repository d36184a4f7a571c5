"""What lets a process live on what others leave over, and tells how long it had to wait for it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

import psutil

LEAST_NICE = 19
SESSION_NICE = 10
"""A tenth of a processor that everybody wants. At 19 it is a 70th: a second's work would take a minute, and pass for one that hangs."""
FIRST_VICTIM = 1000
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Leave nothing behind: neither a process without its parent nor a core file, and be the first to go when memory ends."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_VICTIM), encoding="ascii")


def step_back() -> None:
    """Leave processor and disk to those who serve. Not ``give_way``'s idle class: on a box that is never idle no update would ever come.

    The kernel shares a processor between sessions by what stands in ``autogroup``, whatever the niceness within them (sched(7)): a child
    that began a session of its own would take as much as the whole daemon. Where that is off, or forbidden, it costs nothing.
    """
    with suppress(OSError):
        os.nice(LEAST_NICE)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(SESSION_NICE), encoding="ascii")
    with suppress(OSError, psutil.Error):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def give_way() -> None:
    """Run only on what is left over. Each may be forbidden (a hardened unit); the pace then has to do alone."""
    with suppress(OSError):
        os.nice(LEAST_NICE)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError, psutil.Error):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def waiting_ns(process: str) -> int:
    """Give how long a process's threads waited for a processor so far; 0 where the kernel does not count it.

    Documentation/scheduler/sched-stats.rst: the second number of a thread's ``schedstat``. ``process`` is a number, or ``self``.
    """
    # Called around every call of an engine: listing and opening by pathlib costs more than the rest.
    with suppress(OSError):
        return sum(_waited_ns(f"/proc/{process}/task/{thread}") for thread in os.listdir(f"/proc/{process}/task"))  # noqa: PTH208 - see above
    return 0


def _waited_ns(thread: str) -> int:
    # A thread may end between being listed and being read.
    with suppress(OSError, ValueError, IndexError), open(f"{thread}/schedstat", "rb") as file:  # noqa: PTH123 - see above
        return int(file.read().split()[1])
    return 0
