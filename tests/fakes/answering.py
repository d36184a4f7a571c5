"""A web server in a thread of this process: what it answers is its handler's business."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fakes.certificates import Pair


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up, or do not trust the certificate: they are the point."""


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler], pair: Pair | None = None) -> Iterator[str]:
    """Listen on a free port until the end of the block; with a certificate, over TLS. Gives the URL, with a slash at its end."""
    server = _Server(("127.0.0.1", 0), type("Quiet", (handler,), {"log_message": lambda *_: None}))
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http{'s' if pair else ''}://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
