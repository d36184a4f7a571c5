"""One GET of an endless answer, signed in where the camera asks for it (RFC 7617 Basic, RFC 7616 Digest)."""

from __future__ import annotations

import http.client
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import (
    AbstractDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    Request,
    parse_http_list,
    parse_keqv_list,
)

LATE = "no whole head of an answer in time"
OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 401, 403, 404


@dataclass(frozen=True, slots=True)
class User:
    """Who signs in."""

    name: str
    password: str


@dataclass(slots=True)
class Answer:
    """An answer whose body is still to come. ``socket`` sets its time limits, and wakes a reader when it is shut down."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    socket: socket.socket

    @property
    def status(self) -> int:
        """HTTP's status."""
        return self.response.status

    def close(self) -> None:
        """Give the connection back."""
        self.response.close()
        self.connection.close()


def get(url: str, user: User | None, timeout_s: float) -> Answer:
    """Ask, and ask again with a proof when the camera wants one and there is a user.

    Raises OSError or http.client.HTTPException when there is no answer.
    """
    answer = _ask(url, {}, timeout_s)
    challenges = answer.response.headers.get_all("WWW-Authenticate") or []
    if answer.status != UNAUTHORIZED or user is None:
        return answer
    proof = _proof(url, challenges, user)
    if proof is None:
        return answer
    answer.close()
    return _ask(url, {"Authorization": proof}, timeout_s)


def _ask(url: str, headers: dict[str, str], timeout_s: float) -> Answer:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    late = threading.Event()
    try:
        connection.connect()
        sock: socket.socket = connection.sock
        with _ended_after(timeout_s, sock, late):
            connection.request("GET", _target(url), headers={"User-Agent": "edged", "Accept": "*/*", **headers})
            answer = Answer(connection, connection.getresponse(), sock)
    except BaseException as error:
        connection.close()
        if late.is_set():
            raise TimeoutError(LATE) from error
        raise
    if late.is_set():  # half a head can pass for a whole one
        answer.close()
        raise TimeoutError(LATE)
    return answer


@contextmanager
def _ended_after(timeout_s: float, sock: socket.socket, late: threading.Event) -> Iterator[None]:
    """Hang up when the head of an answer is not there in time: a socket's own limit holds for each byte anew."""

    def hang_up() -> None:
        late.set()
        with suppress(OSError):  # it is down already
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout_s, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _proof(url: str, challenges: list[str], user: User) -> str | None:
    """Give the Authorization header for the strongest challenge that is understood."""
    by_scheme = {one.partition(" ")[0].lower(): one.partition(" ")[2] for one in challenges}
    if "digest" in by_scheme:
        passwords = HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, url, user.name, user.password)
        challenge = parse_keqv_list(parse_http_list(by_scheme["digest"]))
        try:
            proof = AbstractDigestAuthHandler(passwords).get_authorization(Request(url), challenge)  # noqa: S310 - never opened
        except ValueError:  # an algorithm that Python does not know
            return None
        return f"Digest {proof}" if proof else None
    if "basic" in by_scheme:
        return "Basic " + b64encode(f"{user.name}:{user.password}".encode()).decode("ascii")
    return None
