"""The daemon looked at once a second, from when it has settled on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from daemons import STATE, start, stop
from listening import Listener

RESULT_S = 60.0

Look = TypeVar("Look")


def looks(config: Path, listener: Listener, settle: int, seconds: int, look: Callable[[int], Look]) -> list[Look]:
    """Start it twice, and look at the second, which has given ``settle`` results, by its process id."""
    # Once to compile, as an installation has done. Then a first start: it takes the model in, and holds more than a later one.
    with _running(config, listener, 1):
        pass
    shutil.rmtree(config.parent / STATE)
    with _running(config, listener, settle) as pid:
        return [_later(look, pid) for _ in range(seconds)]


@contextmanager
def _running(config: Path, listener: Listener, results: int) -> Iterator[int]:
    daemon = start(config)
    try:
        for _ in range(results):
            listener.heard(RESULT_S)
        yield daemon.pid
    finally:
        stop(daemon)
    listener.forget()


def _later(look: Callable[[int], Look], pid: int) -> Look:
    time.sleep(1.0)
    return look(pid)
