"""The connection to a server of the Open Inference Protocol, which whoever answers there cannot hold, nor fill the memory through.

tritonclient computes on gevent, whose time limits pass only while something waits: what sends faster than it is read would never let one
pass. So each connection pauses now and then, and counts what came.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import ssl
from tritonclient import http as client

PAUSE_EVERY = 16
"""Reads of 4 KB: a pause takes some 5 µs."""
MOST_BYTES = 2**20
"""Of an answer that has no tensors: metadata, and what is wrong."""


def addresses_of(url: str) -> Sequence[Any]:
    """Look a server's name up; waits for as long as the system does. Raises OSError, ValueError for a URL that is none.

    Not with gevent, whose threads for this end the process with a segmentation fault when it exits.
    """
    return socket.getaddrinfo(urlsplit(url).hostname, _port(url), type=socket.SOCK_STREAM)


class Client(client.InferenceServerClient):  # type: ignore[misc]  # it has no types
    """``most_bytes`` may come in one answer, its headers included; more is an OSError. Belongs to the thread that made it."""

    _closed = True
    """Until it is connected: what could not be made has nothing to close."""

    def __init__(
        self, url: str, ca: Path | None, addresses: Sequence[Any], within_s: float, most_bytes: int = MOST_BYTES
    ) -> None:
        """Connect to nobody yet. Raises OSError for certificates that cannot be read."""
        parts = urlsplit(url)
        is_encrypted = parts.scheme == "https"
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        context = _tls(ca) if is_encrypted else None
        super().__init__(
            f"{host}:{_port(url)}{parts.path.rstrip('/')}",
            connection_timeout=within_s,
            network_timeout=within_s,
            ssl=is_encrypted,
            ssl_context_factory=lambda **_asked: context,
        )
        pool = self._client_stub._connection_pool  # noqa: SLF001 - there is no other way to what is read
        create = pool._create_socket  # noqa: SLF001
        pool._resolve = lambda: addresses  # noqa: SLF001
        pool._create_socket = lambda: _Counted(create(), most_bytes)  # noqa: SLF001

    def _post(self, *asked: Any, **named: Any) -> Any:
        response = super()._post(*asked, **named)
        if response.get("Content-Encoding") is not None:
            # Nobody asked for it, and what it would unpack to is not bounded.
            response.release()
            message = "its answer is compressed, expected one as it is"
            raise ValueError(message)
        return response


class _Counted:
    """A socket that pauses, and refuses what is too much; each request begins to count anew."""

    def __init__(self, connected: Any, most_bytes: int) -> None:
        self._socket, self._most_bytes = connected, most_bytes
        self._reads = self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def sendall(self, data: bytes) -> None:
        self._bytes = 0
        self._socket.sendall(data)

    def recv(self, size: int) -> bytes:
        self._reads += 1
        if self._reads % PAUSE_EVERY == 0:
            gevent.sleep(0)
        data: bytes = self._socket.recv(min(size, 2**16))
        self._bytes += len(data)
        if self._bytes > self._most_bytes:
            message = f"its answer is longer than {self._most_bytes} bytes"
            raise OSError(message)
        return data


def _tls(ca: Path | None) -> ssl.SSLContext:
    # gevent's create_default_context gives one of the standard library's, whose reads no time limit of gevent's ends.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca)
    return context


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
