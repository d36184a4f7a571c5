"""The connection to a server of the Open Inference Protocol, which whoever answers there cannot hold, nor fill the memory through.

A deadline holds for a whole question, from connecting to the answer's last byte: the time that is left bounds each wait for the network.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from math import inf
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

MOST_BYTES = 2**20
"""Of an answer that has no tensors: metadata, and what is wrong."""
PART_BYTES = 2**16
STALE = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)
"""How a connection ends that the server let go while nobody asked; ``RemoteDisconnected`` is one of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def addresses_of(url: str) -> Sequence[Any]:
    """Look a server's name up; waits for as long as the system does. Raises OSError, ValueError for a URL that is none."""
    return socket.getaddrinfo(urlsplit(url).hostname, _port(url), type=socket.SOCK_STREAM)


class Link:
    """Asks one question after the other. ``most_bytes`` may come in one answer; more is an OSError. One thread."""

    def __init__(self, url: str, ca: Path | None, addresses: Sequence[Any], most_bytes: int = MOST_BYTES) -> None:
        """Connect to nobody yet. Raises OSError for certificates that cannot be read."""
        parts = urlsplit(url)
        self._host, self._path, self._addresses = parts.hostname or "", parts.path.rstrip("/"), addresses
        self._context = _tls(ca) if parts.scheme == "https" else None
        self._most_bytes = most_bytes
        self._http = HTTPConnection(self._host, _port(url))

    def ask(self, path: str, headers: Mapping[str, str], until_s: float, body: bytes | None = None) -> Answer:
        """Post ``body``, or get, until then on the monotonic clock. Raises TimeoutError, other OSErrors, HTTPException."""
        is_used = self._http.sock is not None
        try:
            return self._asked(path, headers, until_s, body)
        except STALE:
            self.close()
            if not is_used:
                raise
        return self._asked(path, headers, until_s, body)

    def close(self) -> None:
        """Let the connection go; the next question makes another."""
        self._http.close()

    def _asked(self, path: str, headers: Mapping[str, str], until_s: float, body: bytes | None) -> Answer:
        if self._http.sock is None:
            self._http.sock = self._connected(until_s)
        cast("_Bounded", self._http.sock).begin(until_s, self._most_bytes)
        method = "GET" if body is None else "POST"
        self._http.request(method, f"{self._path}/{path}", body, {"Accept-Encoding": "identity", **headers})
        with self._http.getresponse() as response:
            return self._read(response)

    def _read(self, response: HTTPResponse) -> Answer:
        headers = {name.lower(): value for name, value in response.getheaders()}
        if headers.get("content-encoding", "identity") != "identity":
            # Nobody asked for it, and what it would unpack to is not bounded.
            message = "its answer is compressed, expected one as it is"
            raise HTTPException(message)
        # In parts: asked for all at once, Python makes room for whatever length the server tells of.
        body = b"".join(iter(lambda: response.read(PART_BYTES), b""))
        if response.length:
            message = f"its answer ends {response.length} bytes too early"
            raise HTTPException(message)
        return Answer(response.status, headers, body)

    def _connected(self, until_s: float) -> _Bounded:
        """Connect to the first address that takes it."""
        refused: OSError = OSError("it has no address")
        for family, kind, protocol, _, address in self._addresses:
            made = _Bounded(family, kind, protocol)
            try:
                made.settimeout(_left_s(until_s))
                made.connect(address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.settimeout(_left_s(until_s))
                return self._wrapped(made)
            except OSError as error:
                made.close()
                refused = error
        raise refused

    def _wrapped(self, made: _Bounded) -> _Bounded:
        if self._context is None:
            return made
        return cast("_BoundedTls", self._context.wrap_socket(made, server_hostname=self._host))


class _Bounded(socket.socket):
    """A socket whose every wait ends in time, and that gives no more than it may."""

    _until_s, _most_bytes, _left_bytes = inf, 0, 0

    def begin(self, until_s: float, most_bytes: int) -> None:
        """Begin a question."""
        self._until_s, self._most_bytes, self._left_bytes = until_s, most_bytes, most_bytes

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send; over TLS Python itself would give each part of it the whole time."""
        rest = memoryview(data)
        while rest:
            self.settimeout(_left_s(self._until_s))
            rest = rest[self.send(rest, flags) :]

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive some."""
        self.settimeout(_left_s(self._until_s))
        count = super().recv_into(buffer, nbytes or 0, flags)
        self._left_bytes -= count
        if self._left_bytes < 0:
            message = f"its answer is longer than {self._most_bytes} bytes"
            raise OSError(message)
        return count


class _BoundedTls(_Bounded, ssl.SSLSocket):
    """The same over TLS."""


def _left_s(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _tls(ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _BoundedTls
    if ca is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca)
    return context


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
