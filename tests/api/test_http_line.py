"""Requests over HTTP that wait: their own limits and their order hold in the line, while a run is in the way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from fakes.raw_http import RawClient, request
from fakes.serving import Box, FakeBrought, box, doubled, served
from fakes.waiting import until


@dataclass
class Held:
    """A server whose first run does not end before ``passes`` is set; ``seen`` is what was asked of the engine, in order."""

    seen: list[int] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    passes: threading.Event = field(default_factory=threading.Event)
    box: Box | None = None
    port: int = 0

    def __call__(self, tensors: Any) -> Any:
        self.seen.append(int(tensors[0][0, 0]))
        self.began.set()
        assert self.passes.wait(60)
        return doubled(tensors)

    @property
    def waiting(self) -> int:
        assert self.box is not None
        return self.box.handlers.shelf.get("m").waiting


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    made.box = box(FakeBrought("m", compute=made), limit_s=60).loaded("m")
    with served(made.box) as made.port:
        yield made
        made.passes.set()


def ask(held: Held, value: int, **parameters: int) -> RawClient:
    """Send a request; its answer is heard later."""
    client = RawClient(held.port, 60)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [value] * 4}
    client.send(request("POST", "/v2/models/m/infer", json.dumps({"inputs": [tensor], "parameters": parameters})))
    return client


def test_a_timeout_holds_in_the_line_and_not_behind_the_run_that_is_in_the_way(held: Held) -> None:
    with ask(held, 0) as first:
        assert held.began.wait(30)
        began = time.monotonic()
        with ask(held, 1, timeout=200_000) as late:
            said = late.hear()
        took_s = time.monotonic() - began
        was_in_the_way = not held.passes.is_set()
        held.passes.set()
        answered = first.hear().status

    assert (said.status, answered) == (504, 200)
    assert "its timeout was over after" in said.error
    assert was_in_the_way
    assert took_s >= 0.2
    assert held.seen == [0]


def test_the_higher_priority_is_answered_first_and_then_who_came_first(held: Held) -> None:
    clients = [ask(held, 0)]
    assert held.began.wait(30)
    for waiting, (value, priority) in enumerate(((1, 9), (2, 0), (3, 8), (4, 1)), 1):
        clients.append(ask(held, value, priority=priority))
        until(lambda waiting=waiting: held.waiting == waiting, "it waits")
    held.passes.set()
    statuses = [client.hear().status for client in clients]
    for client in clients:
        client.close()

    assert statuses == [200] * 5
    # 0 is what most mean by not naming one: level 8.
    assert held.seen == [0, 4, 2, 3, 1]
