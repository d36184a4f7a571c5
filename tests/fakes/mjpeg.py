"""An HTTP camera on loopback that sends JPEGs, well or badly, as the path asks."""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from edged.domain.tensor import Array

USER, PASSWORD, REALM, NONCE = "viewer", "secret", "camera", "b7f2"
BOUNDARY = b"frame"
SPACING_S, SLOW_S = 0.02, 0.2
"""Between pictures, and on /slow, which a machine that does other things besides keeps up with, too."""
PICTURES = 500
TRICKLE_BYTES = 40


def jpeg(picture: Array, quality: int = 90) -> bytes:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def scene(index: int, width: int = 320, height: int = 240) -> Array:
    """Give a picture with enough in it that damage shows, and that differs from its neighbours."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 16, (height, width))
    planes = [(rows + noise + 3 * index) % 200, (columns + noise) % 200, (rows + columns) % 200]
    return np.stack(planes, axis=-1).astype(np.uint8)


def scan_of(data: bytes) -> int:
    """Give where a JPEG's scan begins: behind its header, ITU-T T.81, B.2.3."""
    at = data.index(b"\xff\xda") + 2
    return at + int.from_bytes(data[at : at + 2], "big")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def cut_with_end(data: bytes) -> bytes:
    return data[: len(data) // 2] + b"\xff\xd9"


def with_hole(data: bytes) -> bytes:
    at = (scan_of(data) + len(data)) // 2
    return data[:at] + data[at + 700 :]


def zeroed(data: bytes) -> bytes:
    at = (scan_of(data) + len(data)) // 2
    return data[:at] + bytes(700) + data[at + 700 :]


def overwritten(data: bytes) -> bytes:
    at = (scan_of(data) + len(data)) // 2
    return data[:at] + np.random.default_rng(1).bytes(700) + data[at + 700 :]


def no_picture(_: bytes) -> bytes:
    return b"<html>camera is starting</html>"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    f"/{damage.__name__}": damage for damage in (cut, cut_with_end, with_hole, zeroed, overwritten, no_picture)
}


@dataclass(frozen=True)
class Sent:
    """One part: what its head says and what follows."""

    data: bytes
    length: int | None
    trickles: bool = False


def sends(path: str) -> Iterator[Sent | None]:
    """Give what a path sends, part by part; None is silence until the client goes."""
    for index in range(PICTURES):
        size = (640, 480) if path == "/resized" and index >= PICTURES // 10 else (320, 240)
        data = jpeg(scene(index, *size))
        if path in DAMAGES and index % 2:
            data = DAMAGES[path](data)
        if path == "/ended" and index == PICTURES // 10:
            return
        if path in {"/stall", "/trickle"} and index == PICTURES // 10:
            yield Sent(data, len(data), trickles=True) if path == "/trickle" else None
        length = {"/unsized": None, "/short": len(data) - 900, "/long": len(data) + 900}.get(path, len(data))
        yield Sent(data, length)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one client. /basic and /digest ask for USER and PASSWORD."""

    stop = threading.Event()
    sent: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if not self._is_welcome():
            return
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}")
        self.end_headers()
        try:
            for sent in sends(self.path):
                if not self._send(sent):
                    return
        except OSError:  # the client has gone
            return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""

    def _send(self, sent: Sent | None) -> bool:
        if sent is None:
            self.stop.wait(20)
            return False
        length = b"" if sent.length is None else b"Content-Length: %d\r\n" % sent.length
        self.wfile.write(b"--" + BOUNDARY + b"\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n")
        if sent.trickles:
            for at in range(0, len(sent.data), TRICKLE_BYTES):
                self.wfile.write(sent.data[at : at + TRICKLE_BYTES])
                if self.stop.wait(0.1):
                    return False
        self.wfile.write(sent.data + b"\r\n")
        self.sent.append(self.path)
        return not self.stop.wait(SLOW_S if self.path == "/slow" else SPACING_S)

    def _is_welcome(self) -> bool:
        given = self.headers.get("Authorization", "")
        if self.path == "/basic":
            wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            return given == wanted or self._refuse(f'Basic realm="{REALM}"')
        if self.path == "/digest":
            return _proof(self.path) in given or self._refuse(f'Digest realm="{REALM}", nonce="{NONCE}", algorithm=MD5')
        return True

    def _refuse(self, challenge: str) -> bool:
        self.send_response(401)
        self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        return False


def _proof(path: str) -> str:
    """Give the answer of RFC 2617, 3.2.2, without qop."""
    user = _md5(f"{USER}:{REALM}:{PASSWORD}")
    return _md5(f"{user}:{NONCE}:{_md5(f'GET:{path}')}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class JpegCamera:
    """The server; ``url`` has no path. ``sent`` has a line for each picture."""

    def __init__(self) -> None:
        stop = threading.Event()
        self.sent: list[str] = []
        handler = type("Stoppable", (Handler,), {"stop": stop, "sent": self.sent})
        self._stop = stop
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
