"""A server of webhooks: it answers as a test says, and keeps what it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from fakes.answering import answering
from fakes.certificates import Pair


@dataclass
class Hooked:
    """``answers`` are given one after the other, 204 once there are no more."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    sent: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)


@contextmanager
def hooked(*answers: int, pair: Pair | None = None) -> Iterator[Hooked]:
    """Listen on a free port; with a certificate, over TLS."""
    told = Hooked(answers=list(answers))

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.sent.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
            status = told.answers.pop(0) if told.answers else 204
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", told.url + "elsewhere")
            self.end_headers()
            if status >= 400:
                self.wfile.write(b"not\n today")

    with answering(Hook, pair) as told.url:
        yield told
