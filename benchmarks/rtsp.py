"""A real RTSP server on loopback for the cameras' figures: GStreamer's, in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHON = "/usr/bin/python3"
"""The bindings are the system's, and so is the Python that has them."""
SERVER = Path(__file__).resolve().parents[1] / "tests" / "fakes" / "rtsp_server.py"
NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class Camera:
    """One H.264 camera at ``url``; ``start`` after ``kill`` is the same one again."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{port}/live"
        self._command = [PYTHON, str(SERVER), str(port), str(width), str(height), str(fps)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve; returns when clients may come."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self._process.stdout is None or self._process.stdout.readline() != b"ready\n":
            message = "cannot start the RTSP server, expected it to be ready"
            raise RuntimeError(message)

    def send(self, number: signal.Signals) -> None:
        """Stop it, or let it go on."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def is_there() -> bool:
    """Whether this machine has what the server needs."""
    found = Path(PYTHON).exists()
    return found and not subprocess.run([PYTHON, "-c", NEEDS], capture_output=True, check=False).returncode


@contextmanager
def camera(width: int, height: int, fps: int) -> Iterator[Camera]:
    """Serve one camera for a while."""
    one = Camera(width, height, fps)
    one.start()
    try:
        yield one
    finally:
        one.kill()
