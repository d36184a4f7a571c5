"""A real RTSP camera on loopback, which can be killed, stopped and started again on its port."""

from __future__ import annotations

import functools
import select
import signal
import subprocess
from pathlib import Path

import pytest

from fakes.brokers import free_port
from fakes.waiting import LONGEST_S

PYTHON = "/usr/bin/python3"
"""The bindings are the system's, and so is the Python that has them."""
SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
ELEMENTS = ("x264enc", "rtph264pay", "videotestsrc")


@functools.cache
def reason_to_skip() -> str:
    """Say what is missing for a server, or nothing."""
    if not Path(PYTHON).exists():
        return "needs the system's Python for an RTSP server"
    find = f"{NEEDS}; from gi.repository import Gst; Gst.init(None); assert all(map(Gst.ElementFactory.find, {ELEMENTS!r}))"
    if subprocess.run([PYTHON, "-c", find], capture_output=True, check=False).returncode:
        return "needs an RTSP server: gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,ugly,bad}"
    return ""


class RtspServer:
    """One camera at ``url``. ``start`` after ``kill`` is the same camera again."""

    def __init__(self, width: int = 640, height: int = 480, fps: int = 25) -> None:
        if reason := reason_to_skip():
            pytest.skip(reason)
        self.port = free_port()
        self.url = f"rtsp://127.0.0.1:{self.port}/live"
        self._shape = [str(number) for number in (width, height, fps)]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [PYTHON, str(SERVER), str(self.port), *self._shape]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        assert select.select([self._process.stdout], [], [], LONGEST_S)[0], "the RTSP server did not start"
        assert self._process.stdout.readline() == b"ready\n"

    def freeze(self) -> None:
        """Stop it as a hanging camera does: its connections stay."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def reshape(self, width: int, height: int, fps: int) -> None:
        """Come back as another camera does, from the next ``start`` on."""
        self._shape = [str(number) for number in (width, height, fps)]

    def kill(self) -> None:
        """End it at once; may be called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
