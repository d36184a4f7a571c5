"""A web server with a mind of its own: it forgets ranges, dies in the middle, trickles, or never ends."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from fakes.answering import answering
from fakes.certificates import Pair

PIECE = 64 * 1024


@dataclass
class Web:
    """What it serves, how it misbehaves, and what it was asked for: path, first byte, bytes sent."""

    folder: Path
    url: str = ""
    ranges: bool = True
    etags: bool = True
    cut_after: int | None = None
    endless: bool = False
    status: int | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)
    sent: int = 0

    def of(self, ending: str) -> list[int]:
        """Give the first bytes that were asked for of files that end so."""
        return [begin for path, begin in self.asked if path.endswith(ending)]


@contextmanager
def serving(folder: Path, pair: Pair | None = None) -> Iterator[Web]:
    """Serve a folder on a free port; with a certificate, over TLS."""
    web = Web(folder)

    class Files(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, web)

    with answering(Files, pair) as web.url:
        yield web


def _answer(handler: BaseHTTPRequestHandler, web: Web) -> None:
    place = web.folder / handler.path.lstrip("/")
    if web.status is not None or not place.is_file():
        handler.send_error(web.status or 404)
        return
    content = place.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    begin = _begin(handler, tag) if web.ranges else 0
    web.asked.append((handler.path, begin))
    handler.send_response(206 if begin else 200)
    if web.etags:
        handler.send_header("ETag", tag)
    if begin:
        handler.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    if web.endless:
        handler.close_connection = True
    else:
        handler.send_header("Content-Length", str(len(content) - begin))
    handler.end_headers()
    _send(handler, web, content[begin:])


def _begin(handler: BaseHTTPRequestHandler, tag: str) -> int:
    found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    return int(found[1]) if found and handler.headers.get("If-Range", tag) == tag else 0


def _send(handler: BaseHTTPRequestHandler, web: Web, content: bytes) -> None:
    cut = None if web.cut_after is None or len(content) < web.cut_after else web.cut_after
    try:
        for at in range(0, len(content[:cut]), PIECE):
            piece = content[at : min(at + PIECE, cut or len(content))]
            handler.wfile.write(piece)
            web.sent += len(piece)
        while web.endless:
            handler.wfile.write(bytes(PIECE))
            web.sent += PIECE
    except OSError:
        handler.close_connection = True
    if cut is not None:
        handler.close_connection = True
        handler.connection.close()
