"""A web server that sends at the rate of a line: a program, since the one who serves is another machine."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO

from edged.hardware.spare import step_back

PIECE_BYTES = 64 * 1024


class Paced(SimpleHTTPRequestHandler):
    """Serves a folder; each answer goes out at ``bytes_per_s`` and no faster."""

    def __init__(self, *args: object, bytes_per_s: float, **kwargs: object) -> None:
        self._bytes_per_s = bytes_per_s
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:  # type: ignore[override]
        """Send piece by piece, by the kernel alone: what it costs here another machine would pay."""
        outputfile.flush()
        began_s, sent = time.monotonic(), 0
        while count := os.sendfile(outputfile.fileno(), source.fileno(), sent, PIECE_BYTES):
            sent += count
            time.sleep(max(0.0, began_s + sent / self._bytes_per_s - time.monotonic()))

    def log_message(self, *_values: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve a folder at so many bytes a second, behind everything else; print the port."""
    step_back()
    folder, bytes_per_s = sys.argv[1], float(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Paced, directory=folder, bytes_per_s=bytes_per_s))
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
