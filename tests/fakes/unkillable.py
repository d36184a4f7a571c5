"""Children that SIGKILL does not end for a while, as one does not that hangs in a call of its driver (state D)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest


@contextmanager
def unkillable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Keep groups of processes from being ended; gives what lets them end, which the end of the block does, too."""
    kill, wanted = os.killpg, list[int]()

    def note(group: int, _number: int) -> None:
        wanted.append(group)

    def let_go() -> None:
        for group in wanted:
            with suppress(ProcessLookupError):
                kill(group, signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", note)
        try:
            yield let_go
        finally:
            let_go()
