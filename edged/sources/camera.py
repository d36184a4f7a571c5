"""Cameras: V4L2 devices and network streams, through PyAV (libav)."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from time import sleep
from typing import Any, Literal

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edged.domain.errors import DeviceError, SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock
from edged.sources import faults
from edged.sources.address import Address, parse, with_user
from edged.sources.arrivals import Arrivals, SourceTime
from edged.sources.closing import Closing
from edged.sources.picture_decoder import Pictures, Reduction, whole
from edged.telemetry import logs

NS_PER_S = 1_000_000_000

STALL_S = 2.8
"""Without a picture for this long a camera counts as lost: a stall shall be found within 3 s."""

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 1.4
"""libav gives up on a silent stream after twice its read timeout (measured, TCP and UDP): within ``STALL_S``."""

POLL_S = 0.004
"""Between two looks at a V4L2 device that has nothing: 8 looks a picture at 30 a second, and at most so much delay."""

JPEG_WIDTH = 1280
"""From this width on JPEG is asked for first: USB 2 carries raw 720p only at 10 pictures a second."""

MAX_AGE_S = 1.0
"""An older picture tells of another moment than the one that it is taken for."""

STREAM_OPTIONS = {"fpsprobesize": "0"}
"""Without guessing the rate, a stream opens in 0.4 s instead of 1.2 s, and 8 pictures wait at the start instead of 28."""

RTSP_OPTIONS = {**STREAM_OPTIONS, "allowed_media_types": "video"}
"""The transport comes on top. Over UDP a lost packet smears the pictures up to the next key picture."""

NONBLOCK = "+4"
"""AVFMT_FLAG_NONBLOCK of libavformat/avformat.h, which has no name among the options. V4L2 then answers EAGAIN."""

Transport = Literal["tcp", "udp"]

_LOG = logging.getLogger("edged.sources.camera")


def open_source(
    *,
    url: str,
    clock: Clock,
    username: str | None = None,
    password: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    input_format: str | None = None,
    transport: Transport = "tcp",
    max_age_s: float = MAX_AGE_S,
    reduction: Reduction | None = None,
    hardware: bool = False,
    libav_format: str | None = None,
) -> CameraSource:
    """Open a camera and wait for it to answer.

    Args:
        url: ``/dev/video0``, its number, or an ``rtsp://``, ``http://`` or ``https://`` address.
        clock: stamps the pictures.
        username: for a stream that asks for one.
        password: belongs to it.
        size: width and height asked of a device; it may answer with another.
        fps: asked of a device; it may answer with another rate.
        input_format: what a device shall send (``mjpeg``, ``yuyv422`` …); default: its own choice, JPEG when large.
        transport: what an RTSP stream's pictures come over.
        max_age_s: older pictures are dropped by cause ``stale``.
        reduction: how much smaller the pictures may be for all who read them; default: they keep their size.
        hardware: decode with what the box has for it, where that works.
        libav_format: the name of libav's input when it shall not follow from ``url``.

    Raises:
        ConfigError: ``url`` is no camera's.
        DeviceError: no such device, no permission, busy, not a camera, or the stream does not answer.
    """
    address = parse(url, libav_format)
    target = address.target
    asked: list[dict[str, str]] = [{}]
    if address.is_device:
        asked = _device_options(size, fps, input_format)
    elif address.kind == "stream":
        target = with_user(target, username, password)
        asked = [RTSP_OPTIONS | {"rtsp_transport": transport} if url.startswith("rtsp") else STREAM_OPTIONS]
    return CameraSource(
        lambda: _open(address, target, asked),
        clock,
        name=address.shown,
        is_device=address.is_device,
        max_age_s=max_age_s,
        reduction=reduction,
        hardware=hardware,
    )


class CameraSource:
    """Frames of (H, W, 3) uint8 BGR.

    ``source_s`` is the monotonic clock at the first picture and then the camera's own time, held near the clock: it
    goes on when the camera is opened again. Counted in ``drops`` and left out: damaged pictures as ``damaged``, and as
    ``stale`` those that are older than ``max_age_s``, or that lay in wait when the stream was opened.
    """

    def __init__(
        self,
        open_container: Callable[[], InputContainer],
        clock: Clock,
        *,
        name: str,
        is_device: bool = False,
        max_age_s: float = MAX_AGE_S,
        reduction: Reduction | None = None,
        hardware: bool = False,
        wait: Callable[[float], Any] = sleep,
    ) -> None:
        self.drops: Counter[str] = Counter()
        self._clock = clock
        self._name = name
        self._is_device = is_device
        self._max_age_s = max_age_s
        self._wait = wait
        self._index = 0
        self._waited_ns = 0
        self._arrivals = Arrivals()
        self._time = SourceTime()
        self._decoded: list[VideoFrame] = []
        self._container = open_container()
        self._closing = Closing(self._container.close)
        self._stream = self._container.streams.video[0]
        self._pictures = Pictures(self._stream, reduction or whole, hardware=hardware)
        self._packets: Iterator[Packet[VideoStream]] = self._container.demux(self._stream)

    def read(self) -> Frame | None:
        """Wait for the next picture; None after ``close``.

        Raises:
            SourceLostError: unplugged, ended, or no whole and fresh picture for ``STALL_S``.
        """
        with self._closing:
            return self._frame()

    def close(self) -> None:
        """Give the camera back: at once, or as soon as a read in another thread comes out of libav."""
        self._closing.ask()

    def __repr__(self) -> str:
        """Say which camera it is and what came from it."""
        return f"<CameraSource {self._name}: {self._closing!r}, {self._index} pictures, drops {dict(self.drops)}>"

    def _frame(self) -> Frame | None:
        deadline_ns = self._clock.monotonic_ns() + int(STALL_S * NS_PER_S)
        before = self.drops.total()
        while not self._closing.is_asked:
            if not self._decoded:
                self._decoded = self._next()
            while self._decoded:
                frame = self._stamped(self._decoded.pop(0))
                if frame is not None:
                    return frame
            if self._clock.monotonic_ns() > deadline_ns:
                raise self._stalled(self.drops.total() - before)
        return None

    def _stalled(self, dropped: int) -> SourceLostError:
        seen = f", {dropped} damaged or stale ones" if dropped else ""
        message = f"cannot read camera {self._name}: no picture for {STALL_S} s{seen}, expected a picture"
        return SourceLostError(message, remedy="look at its cable and power", code="camera-stalled")

    def _next(self) -> list[VideoFrame]:
        """Take one packet and decode it: none, one or (seldom) several pictures."""
        began_ns = self._clock.monotonic_ns()
        try:
            packet = next(self._packets)
        except StopIteration:
            message = f"cannot read camera {self._name}: the stream ended, expected it to go on"
            raise SourceLostError(message, code="camera-ended") from None
        except FFmpegError as error:
            if not isinstance(error, (BlockingIOError, InvalidDataError)):
                # Not "from" libav's error: its message holds the address with the password in it.
                raise faults.lost(self._name, *_told(error)) from None
            # A V4L2 device has nothing yet, or its driver gave half a picture: an error ends PyAV's iterator, no more.
            if isinstance(error, InvalidDataError):
                self.drops["damaged"] += 1
            self._packets = self._container.demux(self._stream)
            self._wait(POLL_S)
            return []
        self._waited_ns += self._clock.monotonic_ns() - began_ns
        if packet.is_corrupt:
            self.drops["damaged"] += 1
            return []
        return self._decode(packet) if packet.size else []  # empty: what V4L2 gives for a buffer with a fault

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        try:
            pictures = self._pictures.decode(packet)
        except FFmpegError:  # a broken packet, or one before the first key picture: the next may be whole
            self.drops["damaged"] += 1
            return []
        whole = [picture for picture in pictures if not picture.is_corrupt]
        if len(whole) < len(pictures):
            self.drops["damaged"] += len(pictures) - len(whole)
        return whole

    def _stamped(self, picture: VideoFrame) -> Frame | None:
        """Date a picture and give it as a frame, unless it is stale."""
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        now_s = now_ns / NS_PER_S
        time_base = self._stream.time_base
        shown_s = None if picture.pts is None or time_base is None else float(picture.pts * time_base)
        captured_s = self._captured_s(shown_s, now_s)
        if captured_s is None or now_s - captured_s > self._max_age_s:
            self.drops["stale"] += 1
            return None
        source_s = self._time.at(shown_s, captured_s)
        age_ns = max(0, round((now_s - captured_s) * NS_PER_S))
        stamp = Stamp(self._index, now_ns - age_ns, wall_ns - age_ns, source_s)
        self._index += 1
        return Frame(self._pictures.bgr(picture), stamp)

    def _captured_s(self, shown_s: float | None, now_s: float) -> float | None:
        waited_s, self._waited_ns = self._waited_ns / NS_PER_S, 0
        if not self._is_device:
            return self._arrivals.captured_s(shown_s, now_s, waited_s)
        # V4L2 drivers stamp with the monotonic clock; those that stamp with another lie far from it.
        return shown_s if shown_s is not None and 0 <= now_s - shown_s < STALL_S else now_s


def _told(error: FFmpegError) -> tuple[int | None, str]:
    return error.errno, error.strerror or type(error).__name__


def _device_options(size: tuple[int, int] | None, fps: float | None, input_format: str | None) -> list[dict[str, str]]:
    """Give what to ask a device for, best first."""
    # A blocking read waits inside the driver, where no timeout reaches it.
    options = {"fflags": NONBLOCK}
    if size:
        options["video_size"] = f"{size[0]}x{size[1]}"
    if fps:
        options["framerate"] = f"{fps:g}"
    if input_format:
        return [{**options, "input_format": input_format}]
    if size and size[0] >= JPEG_WIDTH:
        return [{**options, "input_format": "mjpeg"}, options]
    return [options]


def _open(address: Address, target: str, asked: list[dict[str, str]]) -> InputContainer:
    """Open with the first options that the camera accepts.

    Raises:
        DeviceError: none was accepted, or there is no picture to be had.
    """
    for options in asked:
        opened = _try(target, address.libav_format, options)
        if not isinstance(opened, FFmpegError):
            return _checked(opened, address)
        fault = opened
        if fault.errno != errno.EINVAL:
            break
    # Not "from" libav's error: its message holds the address with the password in it.
    table = faults.DEVICE_FAULTS if address.is_device else faults.STREAM_FAULTS
    raise faults.refused(address.shown, table, *_told(fault))


def _try(target: str, libav_format: str | None, options: dict[str, str]) -> InputContainer | FFmpegError:
    timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
    try:
        # What a camera calls itself, in whatever alphabet, is nothing to fail on.
        return av.open(target, format=libav_format, options=options, timeout=timeout, metadata_errors="replace")
    except FFmpegError as error:
        return error


def _checked(container: InputContainer, address: Address) -> InputContainer:
    if not container.streams.video or container.streams.video[0].codec_context is None:
        container.close()
        message = f"cannot open camera {address.shown}: no pictures in what it sends, expected video of a known codec"
        raise DeviceError(message, code="camera-unsuited")
    codec = container.streams.video[0].codec_context
    logs.event(_LOG, "camera.open", camera=address.shown, codec=codec.name, width=codec.width, height=codec.height)
    return container
