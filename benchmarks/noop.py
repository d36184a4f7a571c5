"""A model that computes nothing, served over HTTP and gRPC in a process of its own: what is left is the cost of serving."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from served import Server, infer_request

from edged.api.access import Access
from edged.api.handlers import Condition, Handlers
from edged.api.http import InferenceApi
from edged.api.ports import Instance
from edged.api.routes import Application
from edged.api.server import HttpServer, Listening
from edged.api.shelf import Shelf
from edged.domain.errors import EngineLostError
from edged.domain.frame import Frame
from edged.domain.result import Output
from edged.domain.tensor import Array, TensorSpec
from edged.hardware.clock import SystemClock

SHAPE, ANSWERS = (1, 3, 224, 224), 1000
NAME = "noop"
MOST_BYTES = 1 << 24


def cpu_ms(seconds: float, clients: int = 1) -> float:
    """Serve over HTTP for so long; gives the CPU time of a request."""
    request = infer_request(np.zeros(SHAPE, np.float32), "x", NAME)
    with _served("http") as server:
        server.press(request, clients, seconds / 4)
        return server.press(request, clients, seconds).cpu_ms


def grpc_cpu_ms(seconds: float) -> float:
    """Serve over gRPC for so long, one client; gives the CPU time of a request."""
    calls = importlib.import_module("grpc_client")
    request = calls.infer_request(np.zeros(SHAPE, np.float32), "x", NAME)
    with _served("grpc") as server:
        calls.press(server, request, seconds / 4)
        answered, cpu_s = calls.press(server, request, seconds)
    return 1000 * cpu_s / answered


@contextmanager
def _served(protocol: str) -> Iterator[Server]:
    command = [sys.executable, str(Path(__file__)), protocol]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        port = int(process.stdout.readline()) if process.stdout is not None else 0
        try:
            yield Server(port, process)
        finally:
            process.kill()


class Nothing:
    """Implements ``edged.api.ports`` without a model."""

    name, version, takes, most = NAME, "1.0.0", "", 1
    inputs = (TensorSpec("x", SHAPE, "float32"),)
    outputs = (TensorSpec("y", (1, ANSWERS), "float32"),)
    about: Mapping[str, Any] = {"platform": NAME, "backend": NAME}
    remembers = False
    _answer = np.zeros((1, ANSWERS), np.float32)

    def offered(self) -> Mapping[str, str]:
        """Offer itself."""
        return {NAME: self.version}

    def runs(self, _name: str) -> bool:
        """Nothing runs it."""
        return False

    def bring(self, _name: str) -> Nothing:
        """Give itself."""
        return self

    def instance(self) -> Instance:
        """Give itself."""
        return self

    def turn(self) -> AbstractContextManager[None]:
        """Wait for nobody."""
        return nullcontext()

    def infer(self, _tensors: Sequence[Array], _step: object = None) -> list[Array]:
        """Compute nothing."""
        return [self._answer]

    def answer(self, _given: bytes | Frame) -> Output:
        """Decode nothing."""
        raise EngineLostError(NAME)

    def close(self) -> None:
        """Free nothing."""


def main(protocol: str) -> None:
    """Serve until killed; prints the port."""
    clock = SystemClock()
    shelf = Shelf(Nothing(), clock, queue=64)
    shelf.load(NAME)
    handlers = Handlers("0", shelf, Condition(dict, tuple), clock)
    port = 20_000 + os.getpid() % 20_000
    server = _over_http(handlers, port, clock) if protocol == "http" else _over_grpc(handlers, port, clock)
    server.start()
    while not server.working:
        threading.Event().wait(0.01)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    threading.Event().wait()


def _over_http(handlers: Handlers, port: int, clock: SystemClock) -> HttpServer:
    api = InferenceApi(handlers, MOST_BYTES)
    listening = Listening("127.0.0.1", port, 128)
    return HttpServer(listening, lambda: Application(api.routes(), Access(), [api.buffers.let_go]), clock)


def _over_grpc(handlers: Handlers, port: int, clock: SystemClock) -> Any:
    # What serves HTTP alone does without grpcio.
    grpc = importlib.import_module("edged.api.grpc")
    return grpc.GrpcServer(grpc.GrpcListening("127.0.0.1", port, MOST_BYTES), handlers, Access, clock.monotonic_ns)


if __name__ == "__main__":
    main(sys.argv[1])
