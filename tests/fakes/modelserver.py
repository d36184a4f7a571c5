"""Where a model is on a server of a test's."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np

from edged.engines.remote import Server
from fakes.waiting import LONGEST_S

ONES = np.ones((1, 4), np.float32)
METADATA = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
}


def at(port: int, **more: Any) -> Server:
    return Server(f"http://127.0.0.1:{port}", "double", **{"deadline_s": LONGEST_S} | more)


def sends(listener: socket.socket, *, pause_s: float, block: bytes, context: ssl.SSLContext | None = None) -> None:
    """Answer who comes with the beginning of an answer, and then with ``block`` for as long as it is taken."""

    def serve() -> None:
        connection, _ = listener.accept()
        with suppress(OSError), context.wrap_socket(connection, server_side=True) if context else connection as to:
            to.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                to.sendall(block)
                time.sleep(pause_s)

    threading.Thread(target=serve, daemon=True).start()
