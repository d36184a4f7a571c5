"""A client of HTTP that sends what a test says and nothing of its own, but for the length."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Said:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """Give the error's words; that there is nothing else is part of what it checks."""
        document = self.json
        assert document.keys() == {"error"}
        words: str = document["error"]
        assert "Traceback" not in words
        return words


class _Kept(io.BufferedReader):
    """Stays open when a response was read: of several that come at once, the next lies in it already."""

    def close(self) -> None:
        """Leave it to ``end``."""

    def end(self) -> None:
        super().close()


class RawClient:
    """One connection, kept open."""

    def __init__(self, port: int, timeout_s: float = 20.0, *, source: str = "127.0.0.1") -> None:
        """Connect, from ``source``: all of 127.0.0.0/8 is this machine."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = _Kept(socket.SocketIO(self.socket, "r"))

    def makefile(self, _mode: str) -> _Kept:
        """Give what a response is read from."""
        return self._reader

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> Said:
        self.send(request(method, path, body, **headers))
        return self.hear()

    def hear(self) -> Said:
        response = HTTPResponse(self)  # type: ignore[arg-type]  # it asks for makefile alone
        response.begin()
        body = response.read()
        return Said(response.status, {key.lower(): value for key, value in response.getheaders()}, body)

    def is_closed(self) -> bool:
        """Wait until the server has closed the connection, and throw away what it said before."""
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self._reader.end()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(method: str, path: str, body: bytes | str = b"", **headers: str) -> bytes:
    """Give a request's bytes; names of headers have dashes for underscores."""
    content = body.encode() if isinstance(body, str) else body
    given = {"Host": "127.0.0.1", "Content-Length": str(len(content))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content
