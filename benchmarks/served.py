"""A daemon that serves a model over HTTP, and clients of it on plain sockets: a library would cost a client a millisecond a request."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from daemons import STATE, start, stop
from figure import quantile

from edged.config.share import shipped

MODEL = "served"
FILE, SIZE = "mobilenet_v2_quant.onnx", (224, 224)
SUBSTITUTE, SUBSTITUTE_SIZE = "camera-health/large-int8.onnx", (96, 160)
"""Height and width."""
READY_S = 60.0
QUEUE = 64
LAST = 19
"""The priority of what runs when nothing else wants to."""
AGAIN_S = 0.05
"""How soon a client that was refused asks again: sooner than any that heeds Retry-After."""

CONFIG = """
[device]
id = "bench"
[state]
directory = "{state}"
[models]
directories = ["{models}"]
measure = "off"
[mqtt]
port = {mqtt}
[http]
listen = "127.0.0.1:{port}"
max_connections = 256
[serving]
models = [{served}]
queue = {queue}
"""
READY = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MANIFEST = """
name = "{name}"
version = "1.0.0"
task = "classification"
license = "Apache-2.0"
[input]
kind = "image"
height = {height}
width = {width}
[output]
decoder = "classification"
[[variant]]
id = "int8"
file = "{file}"
sha256 = "{sha256}"
runtime = "onnx"
precision = "int8"
layout = "nchw"
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """The model's file, in a bundle, and the tensor that it is asked with; ``is_substitute``: not the one of the targets."""

    bundle: Path
    file: Path
    tensor: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    is_substitute: bool


@dataclass(slots=True)
class Load:
    """What clients saw: seconds of each answer and of each refusal, and how long all of it took."""

    answered_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    lost: int = 0
    took_s: float = 0.0
    cpu_s: float = 0.0
    clients_cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.answered_s) / self.took_s

    @property
    def cpu_ms(self) -> float:
        """The daemon's CPU time an answer."""
        return 1000 * self.cpu_s / max(1, len(self.answered_s))

    @property
    def clients_cpu_ms(self) -> float:
        """The clients' own CPU time an answer: they share the processors with the daemon."""
        return 1000 * self.clients_cpu_s / max(1, len(self.answered_s))

    def quantile_ms(self, share: float) -> float:
        """How long an answer took."""
        return 1000 * quantile(self.answered_s, share)


def subject(folder: Path) -> Subject:
    """Make the bundle of the reference model below ``folder``, or of a shipped model's file in its place."""
    assets = os.environ.get("EDGED_ASSETS")
    file = Path(assets) / "models" / FILE if assets else shipped("models") / SUBSTITUTE
    height, width = SIZE if assets else SUBSTITUTE_SIZE
    bundle = folder / MODEL
    bundle.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, bundle / file.name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    text = MANIFEST.format(name=MODEL, height=height, width=width, file=file.name, sha256=digest)
    (bundle / "model.toml").write_text(text, encoding="utf-8")
    tensor = np.random.default_rng(1).random((1, 3, height, width), np.float32)
    return Subject(bundle, file, tensor, not assets)


@contextlib.contextmanager
def serving(
    folder: Path, subject: Subject, more: str = "", *, queue: int = QUEUE, mqtt: int = 1, until: bytes = READY
) -> Iterator[Server]:
    """Run a daemon that serves the subject; gives it when it answers the request ``until``."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    served = f'"{MODEL}"' if not more else ""
    text = CONFIG.format(
        state=folder / STATE, models=subject.bundle.parent, port=port, mqtt=mqtt, queue=queue, served=served
    )
    config = folder / "edged.toml"
    config.write_text(text + more, encoding="utf-8")
    began_s = time.monotonic()
    daemon = start(config)
    server = Server(port, daemon)
    try:
        server.wait(until)
        server.ready_s = time.monotonic() - began_s
        yield server
    finally:
        stop(daemon)


@dataclass(slots=True)
class Server:
    """A daemon's HTTP port."""

    port: int
    daemon: subprocess.Popen[bytes]
    ready_s: float = 0.0

    def wait(self, request: bytes = READY) -> None:
        """Wait until it answers a request with 200. Raises RuntimeError when it ends, or takes too long."""
        deadline_s = time.monotonic() + READY_S
        while self._status(request) != http.client.OK:
            if time.monotonic() > deadline_s or self.daemon.poll() is not None:
                message = "cannot measure: the daemon is not ready, expected it to serve"
                raise RuntimeError(message)
            time.sleep(0.01)

    def cpu_s(self) -> float:
        """Give the CPU time of the process and its children so far."""
        times = psutil.Process(self.daemon.pid).cpu_times()
        return float(times.user + times.system)

    def press(self, request: bytes, clients: int, seconds: float, *, from_afar: bool = False) -> Load:
        """Let so many clients ask for so long, each as soon as it was answered.

        ``from_afar``: as if they ran on other machines, and took no processor from what runs on the box: behind everything else.
        """
        load, lock = Load(), threading.Lock()
        end_s = time.monotonic() + seconds

        def ask() -> None:
            if from_afar:
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LAST)
            with contextlib.closing(Client(self.port)) as client:
                while time.monotonic() < end_s:
                    began_s = time.monotonic()
                    status = client.ask(request)
                    took_s = time.monotonic() - began_s
                    with lock:
                        _note(load, status, took_s)
                    if status == http.client.TOO_MANY_REQUESTS:
                        time.sleep(AGAIN_S)

        threads = [threading.Thread(target=ask) for _ in range(clients)]
        before_s, began_s, own_s = self.cpu_s(), time.monotonic(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        load.took_s, load.cpu_s = time.monotonic() - began_s, self.cpu_s() - before_s
        load.clients_cpu_s = time.process_time() - own_s
        if not load.answered_s:
            message = f"cannot measure: none of {load.lost + len(load.refused_s)} requests was answered, expected some"
            raise RuntimeError(message)
        return load

    def _status(self, request: bytes) -> int:
        with contextlib.suppress(OSError), contextlib.closing(Client(self.port)) as client:
            return client.ask(request)
        return 0


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room = bytearray(1 << 16)

    def ask(self, request: bytes) -> int:
        """Send a request and take its whole answer; gives the status, 0 when there was none."""
        try:
            self._socket.sendall(request)
            return self._take()
        except OSError:
            return 0

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _take(self) -> int:
        head = b""
        while b"\r\n\r\n" not in head:
            part = self._socket.recv(1 << 16)
            if not part:
                return 0
            head += part
        lines, _, body = head.partition(b"\r\n\r\n")
        length = next(line for line in lines.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        left = int(length.partition(b":")[2]) - len(body)
        while left > 0:
            left -= self._socket.recv_into(self._room)
        return int(lines.split()[1])


def infer_request(tensor: np.ndarray[tuple[int, ...], np.dtype[np.float32]], name: str, model: str = MODEL) -> bytes:
    """Give the bytes of a request in binary for an answer in binary."""
    size = {"binary_data_size": tensor.nbytes}
    asked = {"name": name, "datatype": "FP32", "shape": list(tensor.shape), "parameters": size}
    head = json.dumps({"inputs": [asked], "parameters": {"binary_data_output": True}}).encode()
    headers = f"Inference-Header-Content-Length: {len(head)}\r\nContent-Length: {len(head) + tensor.nbytes}\r\n"
    return (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode() + head + tensor.tobytes()
    )


def _note(load: Load, status: int, took_s: float) -> None:
    if status == http.client.OK:
        load.answered_s.append(took_s)
    elif status == http.client.TOO_MANY_REQUESTS:
        load.refused_s.append(took_s)
    else:
        load.lost += 1
