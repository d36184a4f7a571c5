"""Clients that ask the same again with other numbers, and what they ask."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from edged.api import http
from edged.api.access import Access
from edged.api.http import InferenceApi
from edged.api.routes import Application
from edged.api.server import HttpServer, Listening
from edged.domain.tensor import Array, TensorSpec
from edged.hardware.clock import SystemClock
from fakes.brokers import free_port
from fakes.raw_http import RawClient, Said
from fakes.serving import Box, FakeBrought, box, doubled
from fakes.waiting import LONGEST_S, until

INFER = "/v2/models/m/infer"
VALUES = 100_000
"""Of a large body: it goes past the parser."""


class Reads:
    """Counts how often a request is read the long way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._read = http.read_call
        monkeypatch.setattr(http, "read_call", self)

    def __call__(self, *given: object) -> object:
        self.count += 1
        return self._read(*given)  # type: ignore[arg-type]


def made(values: int = 4, compute: Callable[[Sequence[Array]], list[Array]] = doubled, **more: object) -> Box:
    spec = TensorSpec("x", (1, values), "float32")
    return box(FakeBrought("m", compute=compute, inputs=(spec,), outputs=(spec,)), **more).loaded("m")  # type: ignore[arg-type]


def asked(number: float, values: int = 4, path: str = INFER, headers: str = "", **more: object) -> bytes:
    numbers = np.full((1, values), number, "<f4").tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, values], "parameters": {"binary_data_size": len(numbers)}}
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}, **more}).encode()
    lines = f"Inference-Header-Content-Length: {len(text)}\r\nContent-Length: {len(text) + len(numbers)}\r\n{headers}"
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode() + text + numbers


def number(said: Said) -> float:
    """Give the number that all of an answer's are."""
    assert said.status == 200, said.body[:300]
    length = int(said.headers["inference-header-content-length"])
    found = np.frombuffer(said.body[length:], "<f4")
    assert json.loads(said.body[:length])["outputs"][0]["shape"] == [1, len(found)]
    assert len(set(found.tolist())) == 1
    return float(found[0])


def exchanged(client: RawClient, sent: bytes) -> Said:
    client.send(sent)
    return client.hear()


@contextmanager
def at_work(api: InferenceApi, *tokens: bytes) -> Iterator[tuple[int, HttpServer]]:
    """Serve what a test looks into; each reload takes the next of ``tokens``."""
    port, left = free_port(), iter(tokens)
    listening = Listening("127.0.0.1", port, 8)
    server = HttpServer(listening, lambda: Application(api.routes(), Access(token=next(left, b""))), SystemClock())
    server.start()
    until(lambda: server.working, "it answers")
    yield port, server
    server.stop()
    assert server.join(LONGEST_S)
    api.handlers.shelf.close()


class Gate:
    """A model that computes nothing before it is let."""

    def __init__(self) -> None:
        self.passes, self.began = threading.Event(), threading.Event()
        self.passes.set()
        self.seen: list[float] = []
        self.after: list[float] = []

    def __call__(self, tensors: Sequence[Array]) -> list[Array]:
        self.seen.append(float(tensors[0][0, 0]))
        self.began.set()
        assert self.passes.wait(LONGEST_S)
        self.after.append(float(tensors[0][0, 0]))
        return doubled(tensors)

    def shut(self) -> None:
        self.passes.clear()
        self.began.clear()


def one_runs_others_wait(gate: Gate, made_box: Box, clients: Sequence[RawClient], values: int = 4) -> None:
    """Let the first client's request (2) run until the gate lets it pass, and the others' (3) wait behind it."""
    gate.shut()
    clients[0].send(asked(2, values))
    assert gate.began.wait(LONGEST_S)
    for client in clients[1:]:
        client.send(asked(3, values))
    until(lambda: made_box.handlers.shelf.get("m").waiting == len(clients) - 1, "they wait")


@contextmanager
def knowing(port: int, count: int, values: int = 4) -> Iterator[list[RawClient]]:
    """Give clients that have asked once."""
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(count)]
        for client in clients:
            assert number(exchanged(client, asked(1, values))) == 2.0
        yield clients
