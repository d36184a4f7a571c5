"""A box's models for serving that compute what a test says, and a server of them on a port of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edged.api.access import Access
from edged.api.handlers import Condition, Handlers
from edged.api.health import routes as health_routes
from edged.api.http import InferenceApi
from edged.api.routes import Application
from edged.api.sequences import Step
from edged.api.server import HttpServer, Listening
from edged.api.shelf import Shelf
from edged.domain.frame import Frame
from edged.domain.health import Reason
from edged.domain.result import Classes, ClassScore, Output
from edged.domain.tensor import Array, TensorSpec
from edged.hardware.clock import SystemClock
from fakes.brokers import free_port
from fakes.waiting import LONGEST_S, until

Compute = Callable[[Sequence[Array]], list[Array]]
INPUT = TensorSpec("x", (1, 4), "float32")
OUTPUT = TensorSpec("y", (1, 4), "float32")


def doubled(tensors: Sequence[Array]) -> list[Array]:
    return [2 * tensors[0]]


@dataclass
class FakeBrought:
    """Implements ``edged.api.ports.Brought``; ``refuses`` is raised instead of an instance after the first."""

    name: str
    version: str = "1.0.0"
    inputs: tuple[TensorSpec, ...] = (INPUT,)
    outputs: tuple[TensorSpec, ...] = (OUTPUT,)
    compute: Compute = doubled
    takes: str = "window"
    most: int = 1
    refuses: Exception | None = None
    remembers: bool = False
    opened: int = 0
    open_now: int = 0
    closed: bool = False
    steps: deque[Step | None] = field(default_factory=lambda: deque(maxlen=1000))
    """What sequences the latest runs were of."""
    turns: AbstractContextManager[Any] = field(default_factory=nullcontext)
    about: Mapping[str, Any] = field(default_factory=lambda: {"platform": "fake", "backend": "fake"})

    def instance(self) -> FakeInstance:
        if self.opened and self.refuses is not None:
            raise self.refuses
        self.opened += 1
        self.open_now += 1
        return FakeInstance(self)

    def turn(self) -> AbstractContextManager[Any]:
        return self.turns

    def close(self) -> None:
        self.closed = True


class FakeInstance:
    """Implements ``edged.api.ports.Instance``."""

    def __init__(self, brought: FakeBrought) -> None:
        self._brought = brought
        self.closed = False

    def infer(self, tensors: Sequence[Array], step: Step | None = None) -> list[Array]:
        self._brought.steps.append(step)
        return self._brought.compute(tensors)

    def answer(self, given: bytes | Frame, step: Step | None = None) -> Output:
        self._brought.steps.append(step)
        values = given.data if isinstance(given, Frame) else np.frombuffer(given, np.uint8)
        return Classes((ClassScore("orange", float(values.mean())),))

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._brought.open_now -= 1


@dataclass
class FakeSupplier:
    """Implements ``edged.api.ports.Supplier``: ``make`` builds the models, ``piped`` are those that a pipeline runs."""

    make: Mapping[str, Callable[[], FakeBrought]]
    piped: set[str] = field(default_factory=set)
    brought: list[FakeBrought] = field(default_factory=list)

    def offered(self) -> Mapping[str, str]:
        return dict.fromkeys(self.make, "1.0.0")

    def runs(self, name: str) -> bool:
        return name in self.piped

    def bring(self, name: str) -> FakeBrought:
        self.brought.append(self.make[name]())
        return self.brought[-1]


@dataclass
class Box:
    """What a test talks to. ``unready`` and ``unmet`` are what the box says of itself."""

    handlers: Handlers
    supplier: FakeSupplier
    unready: list[Reason] = field(default_factory=list)
    unmet: list[Reason] = field(default_factory=list)

    def loaded(self, *names: str) -> Box:
        for name in names:
            self.handlers.load(name)
        return self


def box(
    *models: FakeBrought,
    queue: int = 8,
    limit_s: float = LONGEST_S,
    make: Mapping[str, Callable[[], FakeBrought]] | None = None,
) -> Box:
    """Give handlers of ``models``, none of them loaded."""
    supplier = FakeSupplier(make or {model.name: (lambda model=model: model) for model in models})
    clock = SystemClock()
    unready: list[Reason] = []
    unmet: list[Reason] = []
    well = {"schema": "edged.health/1", "state": "ok", "reasons": []}
    condition = Condition(lambda: well, lambda: tuple(unready), lambda: tuple(unmet))
    shelf = Shelf(supplier, clock, queue=queue)
    return Box(Handlers("0.0.0", shelf, condition, clock, limit_s), supplier, unready, unmet)


@contextmanager
def served(
    box: Box,
    *,
    access: Access | None = None,
    body_limit: int = 4_000_000,
    most_connections: int = 128,
    cert: Path | None = None,
    key: Path | None = None,
) -> Iterator[int]:
    """Serve a box over HTTP, over TLS with a certificate; gives the port."""
    rows = [*InferenceApi(box.handlers, body_limit).routes()]
    rows += health_routes(box.handlers.condition, "0.0.0", lambda: rows)
    port = free_port()
    listening = Listening("127.0.0.1", port, most_connections, cert, key)
    server = HttpServer(listening, lambda: Application(rows, access or Access()), SystemClock())
    server.start()
    until(lambda: server.working, "it answers")
    try:
        yield port
    finally:
        server.stop()
        assert server.join(LONGEST_S), "the server did not end"
        box.handlers.shelf.close()
