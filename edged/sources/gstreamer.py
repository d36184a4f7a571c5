"""GStreamer pipeline text as a camera, in a process of its own: a driver's decoder that hangs or crashes takes nobody along.

``gst-launch-1.0`` writes YUV4MPEG2 into a pipe: the one raw format that says its own size.
"""

from __future__ import annotations

import logging
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock
from edged.domain.tensor import Array
from edged.sources.address import parse
from edged.telemetry import logs

NS_PER_S = 1_000_000_000
STALL_S = 2.8
"""Without a picture for this long a camera counts as lost: a stall shall be found within 3 s."""
OPEN_TIMEOUT_S = 10.0
"""A hardware decoder and a sensor's driver take seconds to begin."""
MAX_AGE_S = 1.0
"""An older picture tells of another moment than the one that it is taken for."""
READ_BYTES = 1 << 20
HEAD_BYTES = 256
KEPT_WORDS = 2000
"""Of what GStreamer said last: its errors come in several lines, with the cause in the first."""
END_S = 2.0
OOM_SCORE = "500"
"""The unit gives the daemon -500; a child would have the same."""

PROGRAM = "gst-launch-1.0"
TIED = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
"""Has the kernel end the pipeline with the thread that reads it (prctl(2), PR_SET_PDEATHSIG, SIGKILL), which stays so over an exec: one
that hangs would outlive a killed daemon, and keep its camera."""
TAIL = (
    "! videoconvert ! video/x-raw,format=I420,colorimetry=bt601,interlace-mode=progressive "
    "! queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! y4menc ! fdsink fd=1 sync=false"
)
"""The queue lets the newest win while nobody reads. The colours are what OpenCV's conversion takes I420 for."""

MAGIC, FRAME = b"YUV4MPEG2 ", b"FRAME"

DAMAGED, STALLED, ENDED = "camera-damaged", "camera-stalled", "camera-ended"

_LOG = logging.getLogger("edged.sources.gstreamer")


def open_source(*, url: str, clock: Clock, max_age_s: float = MAX_AGE_S) -> GStreamerSource:
    """Start the pipeline and wait for its first picture's size.

    Args:
        url: the text up to and without its sink, such as ``nvarguscamerasrc ! nvvidconv ! video/x-raw,width=1280``.
        clock: stamps the pictures.
        max_age_s: pictures that lay in wait for longer are dropped by cause ``stale``.

    Raises:
        ConfigError: the text cannot be taken apart.
        DeviceError: there is no GStreamer, or the pipeline does not begin.
    """
    address = parse(url)
    try:
        words = shlex.split(f"{url} {TAIL}")
    except ValueError as error:
        message = f"cannot open camera {address.shown}: {error}, expected GStreamer pipeline text"
        raise ConfigError(message) from None
    child = _started(words, address.shown)
    _offer_memory(child.pid)
    source = GStreamerSource(child, clock, name=address.shown, max_age_s=max_age_s)
    try:
        source.begin()
    except BaseException:
        source.close()
        raise
    logs.event(_LOG, "camera.open", camera=address.shown, process=child.pid)
    return source


def _started(words: list[str], shown: str) -> subprocess.Popen[bytes]:
    program = shutil.which(PROGRAM)
    if program is None:
        message = f"cannot open camera {shown}: there is no {PROGRAM}, expected GStreamer"
        raise DeviceError(message, remedy="install gstreamer1.0-tools", code="camera-absent")
    # A session of its own: what a terminal sends to edged is edged's to pass on.
    return subprocess.Popen(  # noqa: S603 - the operator's own pipeline is what shall run; no shell reads it
        [sys.executable, "-I", "-S", "-c", TIED, program, "-q", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _offer_memory(process: int) -> None:
    """Have the kernel end this process before the daemon when memory runs out (proc(5)): it is started again, and nothing is lost."""
    with suppress(OSError):
        Path(f"/proc/{process}/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")


@dataclass(frozen=True, slots=True)
class Shape:
    """Width and height of a stream of I420 pictures, laid out as GStreamer does (gst-plugins-base, video-info.c).

    Each row is padded to a multiple of four bytes, each plane of brightness to an even number of rows.
    """

    width: int
    height: int

    @property
    def bytes(self) -> int:
        """Size of one picture: a plane of brightness and two of colour, each half as wide and high, rounded up."""
        stride, rows, half_stride, half_rows = self.planes
        return stride * rows + 2 * half_stride * half_rows

    @property
    def planes(self) -> tuple[int, int, int, int]:
        """Row length and rows of the plane of brightness, and of each plane of colour."""
        return _up(self.width, 4), _up(self.height, 2), _up(_up(self.width, 2) // 2, 4), _up(self.height, 2) // 2


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


class GStreamerSource:
    """Frames of (H, W, 3) uint8 BGR. ``source_s`` is the monotonic clock at capture, as near as the pipe tells it."""

    def __init__(self, child: subprocess.Popen[bytes], clock: Clock, *, name: str, max_age_s: float) -> None:
        self.drops: Counter[str] = Counter()
        self._child = child
        self._clock = clock
        self._name = name
        self._max_age_s = max_age_s
        self._lock = threading.Lock()
        self._closed = False
        self._index = 0
        self._buffer = bytearray()
        self._shape: Shape | None = None
        self._last_s = -1.0
        self._last_read_s = clock.monotonic_ns() / NS_PER_S
        self._waited_s = 0.0
        self._words = b""
        self._listener = threading.Thread(target=self._listen, name=f"edged-{name}", daemon=True)
        self._listener.start()

    def begin(self) -> None:
        """Wait for the head. Raises DeviceError when it does not come, with what GStreamer says."""
        with self._lock:
            try:
                line = self._line(OPEN_TIMEOUT_S)
            except SourceLostError as error:
                self._end()
                message = f"cannot open camera {self._name}: {self._said() or error.args[0]}, expected pictures"
                raise DeviceError(message, remedy=f"try the text with {PROGRAM}", code="camera-unsuited") from None
            self._shape = shape_of(line, self._name)

    def read(self) -> Frame | None:
        """Wait for the next picture; None after ``close``.

        Raises:
            SourceLostError: the pipeline ended, or brought no picture for ``STALL_S``.
        """
        with self._lock:
            while not self._closed:
                frame = self._frame()
                if frame is not None:
                    return frame
            return None

    def close(self) -> None:
        """End the pipeline's process, which wakes a read in another thread."""
        self._closed = True
        self._kill(signal.SIGTERM)
        with self._lock:
            self._end()

    def __repr__(self) -> str:
        """Say which pipeline it is and what came from it."""
        state = "closed" if self._closed else "open"
        return f"<GStreamerSource {self._name}: {state}, {self._index} pictures, drops {dict(self.drops)}>"

    def _frame(self) -> Frame | None:
        """Read one picture; None when it is stale, or the source was closed meanwhile."""
        before_s, self._waited_s = self._last_read_s, 0.0
        try:
            line = self._line(STALL_S)
            if line.startswith(MAGIC):  # a camera that changed its size begins anew
                self._shape = shape_of(line, self._name)
                return None
            if not line.startswith(FRAME):
                raise self._lost(DAMAGED, "what comes is no stream of pictures")
            assert self._shape is not None  # noqa: S101 - begin has read it
            data = self._taken(self._shape.bytes, STALL_S)
        except SourceLostError:
            if self._closed:
                return None
            raise
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        now_s = self._last_read_s = now_ns / NS_PER_S
        if now_s - before_s - self._waited_s > self._max_age_s and self._index:
            self.drops["stale"] += 1  # nobody read for so long, and this one lay in the pipe meanwhile
            return None
        self._last_s = max(now_s, self._last_s + 0.001)
        stamp = Stamp(self._index, now_ns, wall_ns, self._last_s)
        self._index += 1
        return Frame(_bgr(data, self._shape), stamp)

    def _line(self, timeout_s: float) -> bytes:
        deadline_ns = self._deadline_ns(timeout_s)
        while (end := self._buffer.find(b"\n", 0, HEAD_BYTES)) < 0:
            if len(self._buffer) >= HEAD_BYTES:
                raise self._lost(DAMAGED, "what comes is no stream of pictures")
            self._fill(deadline_ns)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _taken(self, size: int, timeout_s: float) -> bytes:
        deadline_ns = self._deadline_ns(timeout_s)
        while len(self._buffer) < size:
            self._fill(deadline_ns)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _deadline_ns(self, timeout_s: float) -> int:
        return self._clock.monotonic_ns() + int(timeout_s * NS_PER_S)

    def _fill(self, deadline_ns: int) -> None:
        """Wait for more bytes."""
        pipe = _opened(self._child.stdout)
        left_s = max(0.0, (deadline_ns - self._clock.monotonic_ns()) / NS_PER_S)
        began_s = self._clock.monotonic_ns() / NS_PER_S
        is_there = bool(select.select([pipe], [], [], left_s)[0])
        self._waited_s += self._clock.monotonic_ns() / NS_PER_S - began_s
        if not is_there:
            raise self._lost(STALLED, f"no picture for {STALL_S} s")
        data = os.read(pipe.fileno(), READ_BYTES)
        if not data:
            raise self._lost(ENDED, f"the pipeline ended {self._said()}".rstrip())
        self._buffer += data

    def _listen(self) -> None:
        """Keep the last words of GStreamer: a pipe that nobody empties would stop it."""
        pipe = _opened(self._child.stderr)
        with suppress(OSError, ValueError):  # closed
            while data := os.read(pipe.fileno(), KEPT_WORDS):
                self._words = (self._words + data)[-KEPT_WORDS:]

    def _said(self) -> str:
        self._listener.join(END_S)
        lines = self._words.decode("utf-8", "replace").splitlines()
        errors = [line.strip() for line in lines if "ERROR" in line or "erroneous" in line]
        return (errors or lines or [""])[0]

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def _end(self) -> None:
        if self._child.returncode is None:
            self._kill(signal.SIGTERM)
            try:
                self._child.wait(END_S)
            except subprocess.TimeoutExpired:
                self._kill(signal.SIGKILL)
                self._child.wait()
        self._listener.join(END_S)
        for pipe in (self._child.stdout, self._child.stderr):
            _opened(pipe).close()

    def _lost(self, code: str, observed: str) -> SourceLostError:
        message = f"cannot read camera {self._name}: {observed}, expected the next picture"
        return SourceLostError(message, remedy="look at the camera, and try the text by hand", code=code)


def shape_of(line: bytes, name: str) -> Shape:
    """Read a stream's head: YUV4MPEG2, then W, H and C among other parameters (mjpegtools, yuv4mpeg(5)).

    Raises DeviceError on anything else than 4:2:0.
    """
    found = {word[:1]: word[1:] for word in line.removeprefix(MAGIC).split()}
    width, height = found.get(b"W", b""), found.get(b"H", b"")
    if not (
        line.startswith(MAGIC) and width.isdigit() and height.isdigit() and found.get(b"C", b"420").startswith(b"420")
    ):
        message = f"cannot read camera {name}: it begins with {line[:60]!r}, expected the head of a YUV4MPEG2 stream"
        raise DeviceError(message, code="camera-unsuited")
    return Shape(int(width), int(height))


def _bgr(data: bytes, shape: Shape) -> Array:
    """Give (H, W, 3) uint8 BGR. OpenCV converts whole pairs of rows and columns, without padding."""
    stride, rows, half_stride, half_rows = shape.planes
    flat = np.frombuffer(data, np.uint8)
    width = _up(shape.width, 2)
    if (stride, half_stride) != (width, width // 2):
        ends = (stride * rows, stride * rows + half_stride * half_rows)
        bright, *colours = np.split(flat, ends)
        kept = [bright.reshape(rows, stride)[:, :width]]
        kept += [colour.reshape(half_rows, half_stride)[:, : width // 2] for colour in colours]
        flat = np.concatenate([plane.reshape(-1) for plane in kept])
    picture = cv2.cvtColor(flat.reshape(half_rows * 3, width), cv2.COLOR_YUV2BGR_I420)
    return np.ascontiguousarray(picture[: shape.height, : shape.width])


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - for the type checker: both were asked for
    return pipe
