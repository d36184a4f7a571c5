"""Steps for a worker, as a test orders them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from edged.domain.health import Reason
from edged.pipeline.backoff import Backoff
from edged.pipeline.worker import Worker
from fakes.clock import FakeClock

AT_ONCE = 0.0
GIVE_UP_S = 10.0


@dataclass
class Script:
    """Steps to order: True goes on, False is the end, an error is raised."""

    words: Iterator[bool | Exception]
    calls: list[str] = field(default_factory=list)
    clock: FakeClock | None = None
    advance_s: float = 0.0
    reason: Reason | None = None

    def step(self, timeout_s: float) -> bool:
        assert timeout_s > 0
        self.calls.append("step")
        if self.clock:
            self.clock.advance(self.advance_s)
        word = next(self.words)
        if isinstance(word, Exception):
            raise word
        return word

    def close(self) -> None:
        self.calls.append("close")


def script(*words: bool | Exception) -> Script:
    return Script(iter(words))


def ran(worker: Worker) -> Worker:
    worker.start()
    assert worker.join(GIVE_UP_S)
    return worker


def at_once() -> Backoff:
    return Backoff(first_s=AT_ONCE, limit_s=AT_ONCE)


@dataclass
class Endless:
    """Steps without end."""

    is_closed: bool = False
    reason: Reason | None = None

    def step(self, timeout_s: float) -> bool:
        assert timeout_s > 0
        return not threading.Event().wait(0.001)

    def close(self) -> None:
        self.is_closed = True
