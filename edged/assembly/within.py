"""Work that may hang in the kernel (a network disk without its server, a driver that waits for ever), done within a time."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")


def within(seconds: float, work: Callable[[], Made]) -> Made:
    """Give what ``work`` gives, and raise what it raises. Raises TimeoutError, an OSError, when it takes longer.

    What hangs is left behind on a thread of its own, which ends nobody's program: nothing else takes a thread out of a system call.
    """
    done: list[Made] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            failed.append(error)

    thread = threading.Thread(target=run, name="edged-within", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} s")
    return done[0]
