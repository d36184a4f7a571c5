"""A daemon that serves real models over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from fakes.assetbundle import materialise
from fakes.brokers import free_port
from fakes.daemon import LONGEST_S, DaemonProcess, write_config

ONNX, TFLITE = "mobilenet-v2-onnx", "mobilenet-v2"


@dataclass(frozen=True)
class Serving:
    """``port`` is HTTP's. ``ONNX`` is loaded, ``TFLITE`` and the shipped ones lie there."""

    daemon: DaemonProcess
    port: int


@contextmanager
def serving_daemon(folder: Path, assets: Path, more: str = "") -> Iterator[Serving]:
    """Run a daemon until the end of the block; ``more`` is further configuration."""
    for name in (ONNX, TFLITE):
        materialise(name, assets, folder / "models")
    port = free_port()
    http = f'[http]\nlisten = "127.0.0.1:{port}"\n[serving]\nmodels = ["{ONNX}"]\nqueue = 8\n{more}'
    daemon = DaemonProcess(write_config(folder, free_port(), http)).start()
    try:
        wait_until_ready(port, daemon)
        yield Serving(daemon, port)
    finally:
        daemon.close()


def wait_until_ready(port: int, daemon: DaemonProcess, within_s: float = LONGEST_S) -> None:
    """Wait for ``/readyz``."""
    deadline = time.monotonic() + within_s
    while _status(port) != 200:
        assert time.monotonic() < deadline, daemon.said()[-3000:]
        assert not daemon.ended, daemon.said()[-3000:]
        time.sleep(0.05)


def _status(port: int) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
