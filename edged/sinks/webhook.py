"""An event's document, sent to a URL: again while the server is away, busy or faulty, and not again when it refuses."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edged.domain.errors import DeviceError, EdgedError
from edged.domain.ports import Clock

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
MOST_WORDS = 200
"""Of what a server says when it refuses."""
_NS_PER_S = 1e9


class Webhook:
    """Implements ``edged.sinks.actuate.Actuator``. ``wait`` sleeps for so many seconds, True when it shall stop."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        wait: Callable[[float], bool],
        *,
        token: Callable[[], str | None],
        ca: Path | None = None,
        timeout_s: float = 5.0,
        give_up_after_s: float = 60.0,
    ) -> None:
        """``token`` reads the bearer token, at each event: it may have been replaced."""
        parts = urlsplit(url)
        self._is_tls, self._address = parts.scheme == "https", (parts.hostname or "", parts.port)
        self._path = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        # Without its path: what many servers take for a secret.
        self._shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._clock, self._wait, self._token = clock, wait, token
        self._ca, self._timeout_s, self._give_up_after_s = ca, timeout_s, give_up_after_s

    def do(self, document: Mapping[str, Any]) -> None:
        """Send it, and again. Raises DeviceError when that came to nothing."""
        body, headers = json.dumps(document, separators=(",", ":")).encode(), self._headers()
        until_ns = self._clock.monotonic_ns() + int(self._give_up_after_s * _NS_PER_S)
        wait_s, tries = FIRST_WAIT_S, 1
        while (trouble := self._sent(body, headers)) is not None:
            if self._clock.monotonic_ns() + wait_s * _NS_PER_S > until_ns or self._wait(wait_s):
                message = f"cannot send to {self._shown}: {trouble}, {tries} times; expected an answer of 2xx"
                raise DeviceError(message, code="webhook")
            wait_s, tries = min(2 * wait_s, LONGEST_WAIT_S), tries + 1

    def tick(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing is held."""

    def _headers(self) -> dict[str, str]:
        # The same key at each try: a server that took it, and whose answer was lost, can tell.
        told = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex, "User-Agent": "edged"}
        token = self._token()
        if token is None:
            return told
        if not (token.isascii() and token.isprintable()):
            message = f"cannot send to {self._shown}: its token holds what no header may, expected one line of ASCII"
            raise DeviceError(message, remedy="mend token_file", code="webhook")
        return told | {"Authorization": f"Bearer {token}"}

    def _sent(self, body: bytes, headers: Mapping[str, str]) -> str | None:
        """Try once; gives why it may be tried again, None when it was taken. Raises DeviceError when it was refused."""
        try:
            status, words = self._answer(body, headers)
        except ssl.SSLCertVerificationError as error:
            message = f"cannot send to {self._shown}: {error.verify_message}, expected a server that ca vouches for"
            raise DeviceError(message, code="webhook") from error
        except (OSError, http.client.HTTPException) as error:
            return " ".join(f"{error}".split())[:MOST_WORDS] or type(error).__name__
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in BUSY:
            return f"the server answers {status}"
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return None
        # No redirect is followed: a token goes where the configuration says, and nowhere else.
        message = f"cannot send to {self._shown}: the server answers {status} {words}".rstrip() + ", expected 2xx"
        raise DeviceError(message, remedy="mend the URL, the token or the server", code="webhook")

    def _answer(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Give the server's status, and its first words where it is no 2xx."""
        connection = self._connection()
        # A timeout of the socket bounds each byte; a server that drips them is hung up on.
        alarm = threading.Timer(self._timeout_s, _hang_up, [connection])
        alarm.daemon = True
        alarm.start()
        try:
            connection.request("POST", self._path, body, headers)
            with connection.getresponse() as answer:
                words = b"" if answer.status < HTTPStatus.MULTIPLE_CHOICES else _first(answer)
                return answer.status, " ".join(words.decode("utf-8", "replace").split())
        finally:
            alarm.cancel()
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._address
        if not self._is_tls:
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._trust())

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca)
        except OSError as error:
            message = f"cannot read {self._ca}: {error}, expected certificates, PEM"
            raise EdgedError(message, code="webhook") from error


def _first(answer: http.client.HTTPResponse) -> bytes:
    """Give what a server says first; its status counts, also when it says no more."""
    try:
        return answer.read(MOST_WORDS)
    except (OSError, http.client.HTTPException):
        return b""


def _hang_up(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
