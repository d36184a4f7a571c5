"""Cameras: V4L2 devices and network streams, through PyAV (libav)."""

from __future__ import annotations

import errno
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import sleep
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock
from edged.telemetry import logs

NS_PER_S = 1_000_000_000

STALL_S = 2.8
"""Without a picture for this long a camera counts as lost: a stall shall be found within 3 s."""

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 1.4
"""libav gives up on a silent stream after twice its read timeout (measured, TCP and UDP): within ``STALL_S``."""

POLL_S = 0.004
"""Between two looks at a V4L2 device that has nothing: 8 looks a picture at 30 a second, and at most so much delay."""

JUMP_S = 5.0
"""Pictures further than this from the time that passed mean that the stream's clock was set anew."""

JPEG_WIDTH = 1280
"""From this width on JPEG is asked for first: USB 2 carries raw 720p only at 10 pictures a second."""

RTSP_OPTIONS = {"rtsp_transport": "tcp"}
"""Over UDP a lost packet smears the pictures up to the next key picture."""

V4L2 = "video4linux2"
NONBLOCK = "+4"
"""AVFMT_FLAG_NONBLOCK of libavformat/avformat.h, which has no name among the options. V4L2 then answers EAGAIN."""

# One decoder thread: more of them hold frames back and cost memory. The colour conversion has threads of its own from
# PyAV 17 on: one of them saves 4 MB and a fifth of the CPU on 720p.
DECODER_THREADS = 1
_ONE_THREAD = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}

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
        libav_format: the name of libav's input when it shall not follow from ``url``.

    Raises:
        ConfigError: ``url`` is no camera's.
        DeviceError: no such device, no permission, busy, not a camera, or the stream does not answer.
    """
    address = _address(url, libav_format)
    if address.is_device:
        target, asked = address.target, _device_options(size, fps, input_format)
    else:
        target, asked = _with_user(address.target, username, password), [RTSP_OPTIONS if url.startswith("rtsp") else {}]
    return CameraSource(lambda: _open(address, target, asked), clock, name=address.shown)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a camera is. ``shown`` is for people and free of secrets; ``target`` and ``format`` are for libav."""

    target: str
    shown: str
    format: str | None

    @property
    def is_device(self) -> bool:
        """Whether it is a device on this box."""
        return self.format == V4L2


class CameraSource:
    """Frames of (H, W, 3) uint8 BGR.

    ``source_s`` is the monotonic clock at the first picture and then the camera's own time, held near the clock: it
    goes on when the camera is opened again. Damaged pictures are left out and counted in ``drops`` as ``damaged``.
    """

    def __init__(
        self,
        open_container: Callable[[], InputContainer],
        clock: Clock,
        *,
        name: str,
        wait: Callable[[float], Any] = sleep,
    ) -> None:
        self.drops: Counter[str] = Counter()
        self._clock = clock
        self._name = name
        self._wait = wait
        self._lock = threading.Lock()
        self._closed = False
        self._index = 0
        self._time = _StreamTime()
        self._reformatter = VideoReformatter()
        self._decoded: list[VideoFrame] = []
        self._container = open_container()
        self._stream = self._container.streams.video[0]
        self._packets: Iterator[Packet[VideoStream]] = self._container.demux(self._stream)

    def read(self) -> Frame | None:
        """Wait for the next picture; None after ``close``.

        Raises:
            SourceLostError: unplugged, ended, or no whole picture for ``STALL_S``.
        """
        with self._lock:
            try:
                return self._frame()
            finally:
                if self._closed:  # close came while this thread was in libav, which must not lose what it reads from
                    self._container.close()

    def close(self) -> None:
        """Give the camera back: at once, or as soon as a read in another thread comes out of libav."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._container.close()
            finally:
                self._lock.release()

    def __repr__(self) -> str:
        """Say which camera it is and what came from it."""
        state = "closed" if self._closed else "open"
        return f"<CameraSource {self._name}: {state}, {self._index} pictures, drops {dict(self.drops)}>"

    def _frame(self) -> Frame | None:
        deadline_ns = self._clock.monotonic_ns() + int(STALL_S * NS_PER_S)
        while not self._closed:
            if not self._decoded:
                self._decoded = self._pictures()
            if self._decoded:
                return self._stamped(self._decoded.pop(0))
            if self._clock.monotonic_ns() > deadline_ns:
                message = f"cannot read camera {self._name}: no picture for {STALL_S} s, expected a picture"
                raise SourceLostError(message, remedy="look at its cable and power", code="camera-stalled")
        return None

    def _pictures(self) -> list[VideoFrame]:
        """Take one packet and decode it: none, one or (seldom) several pictures."""
        try:
            packet = next(self._packets)
        except StopIteration:
            message = f"cannot read camera {self._name}: the stream ended, expected it to go on"
            raise SourceLostError(message, code="camera-ended") from None
        except FFmpegError as error:
            if not isinstance(error, (BlockingIOError, InvalidDataError)):
                raise _lost(self._name, error) from None
            # A V4L2 device has nothing yet, or its driver gave half a picture: an error ends PyAV's iterator, no more.
            if isinstance(error, InvalidDataError):
                self.drops["damaged"] += 1
            self._packets = self._container.demux(self._stream)
            self._wait(POLL_S)
            return []
        if packet.is_corrupt:
            self.drops["damaged"] += 1
            return []
        return self._decode(packet) if packet.size else []  # empty: what V4L2 gives for a buffer with a fault

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        try:
            pictures = self._stream.decode(packet)
        except FFmpegError:  # a broken packet, or one before the first key picture: the next may be whole
            self.drops["damaged"] += 1
            return []
        whole = [picture for picture in pictures if not picture.is_corrupt]
        if len(whole) < len(pictures):
            self.drops["damaged"] += len(pictures) - len(whole)
        return whole

    def _stamped(self, picture: VideoFrame) -> Frame:
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        time_base = self._stream.time_base
        shown_s = None if picture.pts is None or time_base is None else float(picture.pts * time_base)
        captured_ns = _captured_ns(shown_s, now_ns)
        source_s = self._time.at(shown_s, captured_ns / NS_PER_S)
        stamp = Stamp(self._index, captured_ns, wall_ns - (now_ns - captured_ns), source_s)
        self._index += 1
        data = self._reformatter.reformat(picture, format="bgr24", **_ONE_THREAD).to_ndarray()
        return Frame(data, stamp)


@dataclass(slots=True)
class _StreamTime:
    """Turns presentation times into source time: their spacing is the camera's, their place the box's clock."""

    GAIN = 0.01
    """A camera's clock drifts by seconds a day; a hundredth of the difference a picture follows it, and no jitter."""

    _shift_s: float | None = None
    _last_s: float = -1.0

    def at(self, shown_s: float | None, now_s: float) -> float:
        """Give the source time of a picture; always later than the one before."""
        if shown_s is None:
            source_s = now_s
        else:
            if self._shift_s is None or abs(shown_s + self._shift_s - now_s) > JUMP_S:
                self._shift_s = now_s - shown_s
            self._shift_s += self.GAIN * (now_s - shown_s - self._shift_s)
            source_s = shown_s + self._shift_s
        self._last_s = max(source_s, self._last_s + 0.001)
        return self._last_s


def _captured_ns(shown_s: float | None, now_ns: int) -> int:
    """Give the time of capture. V4L2 stamps with the monotonic clock; a stream's own times lie anywhere."""
    age_ns = now_ns - int((shown_s or 0.0) * NS_PER_S)
    return now_ns - age_ns if shown_s is not None and 0 <= age_ns < STALL_S * NS_PER_S else now_ns


def _address(url: str, libav_format: str | None) -> Address:
    if libav_format is not None:
        return Address(url, url, libav_format)
    device = f"/dev/video{url}" if url.isdecimal() else url
    if device.startswith("/dev/"):
        return Address(device, device, V4L2)
    parts = urlsplit(url)
    if parts.scheme not in {"rtsp", "rtsps", "http", "https"} or not parts.hostname:
        message = f"cannot open camera {url!r}: expected /dev/video0, a number, or an rtsp, http or https address"
        raise ConfigError(message)
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))  # queries carry tokens
    if "@" in parts.netloc:
        message = f"cannot open camera {shown}: its address carries user information, expected none"
        raise ConfigError(message, remedy="set username and password_file in the source's section")
    return Address(url, shown, None)


def _with_user(url: str, username: str | None, password: str | None) -> str:
    if username is None:
        return url
    parts = urlsplit(url)
    user = f"{quote(username, safe='')}:{quote(password or '', safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))


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
        opened = _try(target, address.format, options)
        if not isinstance(opened, FFmpegError):
            return _checked(opened, address)
        fault = opened
        if fault.errno != errno.EINVAL:
            break
    # Not "from" libav's error: its message holds the address with the password in it.
    raise _refused(address, fault)


def _try(target: str, libav_format: str | None, options: dict[str, str]) -> InputContainer | FFmpegError:
    timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
    try:
        return av.open(target, format=libav_format, options=options, timeout=timeout)
    except FFmpegError as error:
        return error


def _checked(container: InputContainer, address: Address) -> InputContainer:
    if not container.streams.video or container.streams.video[0].codec_context is None:
        container.close()
        message = f"cannot open camera {address.shown}: no pictures in what it sends, expected video of a known codec"
        raise DeviceError(message, code="camera-unsuited")
    codec = container.streams.video[0].codec_context
    codec.thread_type = "SLICE"
    codec.thread_count = DECODER_THREADS
    logs.event(_LOG, "camera.open", camera=address.shown, codec=codec.name, width=codec.width, height=codec.height)
    return container


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error number of libav means for the person who set the camera up."""

    code: str
    observed: str
    remedy: str = ""


_ABSENT = Fault("camera-absent", "no such device", "plug it in; ls /dev/video* shows which there are")
_DENIED = Fault(
    "camera-denied", "permission denied", "add the daemon's user to the group video: usermod -aG video USER"
)
_NO_CAMERA = Fault("camera-unsuited", "it gives no pictures", "a camera has several nodes: try the next number")
_REFUSED = Fault("camera-denied", "user name or password refused", "check username and password_file of the source")
_SILENT = Fault("camera-stalled", "it does not answer", "look at its cable, power and address")


def _tag(text: bytes) -> int:
    """Give the number of an error that is libav's own: FFERRTAG of libavutil/error.h. PyAV 17's names for them are empty."""
    return int.from_bytes(text, "little")


EXIT, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = _tag(b"EXIT"), _tag(b"\xf8401"), _tag(b"\xf8403"), _tag(b"\xf8404")

DEVICE_FAULTS: dict[int, Fault] = {
    errno.ENOENT: _ABSENT,
    errno.ENXIO: _ABSENT,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EBUSY: Fault("camera-busy", "another program has it", "end that program; fuser -v tells which it is"),
    errno.ENODEV: _NO_CAMERA,
    errno.ENOTTY: _NO_CAMERA,
    errno.EINVAL: Fault("camera-unsuited", "it has no such format, size or rate", "v4l2-ctl --list-formats-ext tells"),
}

STREAM_FAULTS: dict[int, Fault] = {
    errno.ECONNREFUSED: Fault("camera-absent", "connection refused", "check its address and port"),
    errno.EHOSTUNREACH: _SILENT,
    errno.ENETUNREACH: _SILENT,
    errno.ETIMEDOUT: _SILENT,
    EXIT: _SILENT,
    errno.EIO: Fault("camera-absent", "no such host, or it hung up", "check its address"),
    UNAUTHORIZED: _REFUSED,
    FORBIDDEN: _REFUSED,
    NOT_FOUND: Fault("camera-absent", "it has no such stream", "check the address's path"),
}

LOST_FAULTS: dict[int, Fault] = {
    errno.ENODEV: Fault("camera-unplugged", "unplugged", "plug it in again"),
    errno.EIO: Fault("camera-unplugged", "the device or connection failed", "look at its cable and power"),
    errno.ETIMEDOUT: _SILENT,
    EXIT: _SILENT,
}


def _refused(address: Address, error: FFmpegError) -> DeviceError:
    faults = DEVICE_FAULTS if address.is_device else STREAM_FAULTS
    fault = faults.get(error.errno or 0, Fault("device", error.strerror or type(error).__name__))
    message = f"cannot open camera {address.shown}: {fault.observed}, expected pictures"
    return DeviceError(message, remedy=fault.remedy, code=fault.code)


def _lost(name: str, error: FFmpegError) -> SourceLostError:
    fault = LOST_FAULTS.get(error.errno or 0, Fault("source-lost", error.strerror or type(error).__name__))
    message = f"cannot read camera {name}: {fault.observed}, expected the next picture"
    return SourceLostError(message, remedy=fault.remedy, code=fault.code)
