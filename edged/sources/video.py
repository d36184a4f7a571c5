"""Video files (kind ``file``), through PyAV (libav)."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from edged.domain.errors import ConfigError, SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock
from edged.domain.tensor import Array
from edged.telemetry import logs

FORMATS = "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,obu,mjpeg,gif,ogg,asf,mxf,rm,nut"
"""The formats that count as video. Without this list libav takes any .txt and .bin file for a picture in letters."""

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
HEAD_BYTES = 4096
"""Far more than the heads of these formats take, which are some 50 bytes."""

# One thread: on a 720p H.264 clip two cost 1.4 MB more and won 0.4 ms of 2.3 a frame; frame threads won nothing and
# hold frames back. The colour conversion has threads of its own from PyAV 17 on: one saves 4 MB and a fifth of the CPU.
DECODER_THREADS = 1
BGR = 3
"""Bytes a pixel."""
_ONE_THREAD = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}

_LOG = logging.getLogger("edged.sources.video")


def open_source(*, path: Path, clock: Clock, loop: bool = False) -> VideoSource:
    """Open the file and decode its first picture.

    Args:
        path: the video.
        clock: stamps the pictures.
        loop: begin again at the end; the source's time goes on.

    Raises:
        ConfigError: there is no such file, it is no video, or no picture in it can be decoded.
    """
    return VideoSource(path, clock, loop=loop)


class VideoSource:
    """Frames of (H, W, 3) uint8 BGR, as coded: a rotation that the file asks for is logged, not carried out.

    ``source_s`` is the presentation time from the first picture on. What is damaged is left out, never patched: it is
    counted in ``drops`` as ``damaged``, everything that can be decoded is delivered, and then the end is an error.
    """

    def __init__(self, path: Path, clock: Clock, *, loop: bool) -> None:
        self.drops: Counter[str] = Counter()
        self._path = path
        self._clock = clock
        self._loop = loop
        self._lock = threading.Lock()  # close comes from another thread, and libav must not lose what it reads from
        self._closed = False
        self._index = 0
        self._last_s = -1.0
        self._shift_s = 0.0
        self._damage = ""
        self._reformatter = VideoReformatter()
        self._container, self._stream = _open(path)
        self._step_s = float(1 / (self._stream.average_rate or 25))
        self._frames = self._decode()
        self._first = self._open_first()

    def read(self) -> Frame | None:
        """Give the next picture; None at the end of a sound file.

        Raises:
            SourceLostError: the file ended early or parts of it were damaged; every other picture was delivered.
        """
        with self._lock:
            picture = None if self._closed else self._next()
            if picture is not None:
                return self._stamped(picture)
            if self._damage and not self._closed:
                message = f"cannot read all of video {self._path}: {self._damage}, expected a whole file"
                raise SourceLostError(
                    message, remedy=f"the {self._index} pictures before that were delivered", code="video-damaged"
                )
            return None

    def close(self) -> None:
        """Close the file; waits for a picture that is being decoded."""
        with self._lock:
            self._closed = True
            self._frames.close()
            self._container.close()

    def __repr__(self) -> str:
        """Say what is read, and how far."""
        at_s = max(self._last_s, 0.0)
        return f"<VideoSource {self._path}: {self._index} pictures, at {at_s:.2f} s, {self._damage or 'sound'}>"

    def _open_first(self) -> VideoFrame | None:
        first = next(self._frames, None)
        if first is None:
            self._container.close()
            message = f"cannot open video {self._path}: {self._damage or 'it holds no picture'}, expected a video"
            raise ConfigError(message)
        rotation = getattr(first, "rotation", 0)
        if rotation:
            logs.event(_LOG, "video.rotation-ignored", path=str(self._path), degrees=rotation)
        return first

    def _next(self) -> VideoFrame | None:
        first, self._first = self._first, None
        picture = first or next(self._frames, None)
        if picture is None and self._loop and not self._damage:
            self._container.close()
            self._container, self._stream = _open(self._path)
            self._frames = self._decode()
            self._shift_s = self._last_s + self._step_s
            picture = next(self._frames, None)
        return picture

    def _stamped(self, picture: VideoFrame) -> Frame:
        source_s = self._source_s(picture)
        stamp = Stamp(self._index, self._clock.monotonic_ns(), self._clock.wall_ns(), source_s)
        self._index += 1
        return Frame(self._bgr(picture), stamp)

    def _source_s(self, picture: VideoFrame) -> float:
        """Give the presentation time from the first picture on; always later than the one before."""
        shown_s = self._seconds(picture.pts)
        if self._index == 0:
            self._shift_s = -(shown_s or 0.0)
        source_s = self._last_s + self._step_s if shown_s is None else shown_s + self._shift_s
        if source_s <= self._last_s:  # the file was joined from parts, each with its own time
            self._shift_s += self._last_s + self._step_s - source_s
            source_s = self._last_s + self._step_s
        self._last_s = source_s
        return source_s

    def _bgr(self, picture: VideoFrame) -> Array:
        """Convert, and look into libav's own memory instead of copying it: 2.7 MB and 0.3 ms less a 720p picture."""
        plane = self._reformatter.reformat(picture, format="bgr24", **_ONE_THREAD).planes[0]
        shape = (plane.height, plane.width, BGR)
        picture_bgr: Array = np.ndarray(shape, np.uint8, buffer=memoryview(plane), strides=(plane.line_size, BGR, 1))
        return picture_bgr

    def _decode(self) -> Generator[VideoFrame, None, None]:
        for packet in self._packets():
            yield from self._pictures(packet)
        yield from self._pictures(None)
        missing = _missing_bytes(self._path)
        if missing and not self._damage:
            self._damage = f"its last {missing} bytes are missing"

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:  # its rest is missing; decoders fill up with what they guess
                    self._note("a picture's data are incomplete", packet.pts)
                elif packet.size:
                    yield packet
        except FFmpegError as error:
            self._note(error.strerror or type(error).__name__, None)

    def _pictures(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            pictures = self._stream.decode(packet)
        except FFmpegError as error:
            if not isinstance(error, EOFError):
                self._note(error.strerror or type(error).__name__, packet.pts if packet else None)
            return []
        sound = [picture for picture in pictures if not picture.is_corrupt]
        if len(sound) < len(pictures):
            self._note("a picture could not be decoded whole", pictures[0].pts)
        return sound

    def _note(self, fault: str, pts: int | None) -> None:
        self.drops["damaged"] += 1
        if not self._damage:
            at_s = self._seconds(pts)
            self._damage = fault if at_s is None else f"{fault} at {at_s:.2f} s"

    def _seconds(self, pts: int | None) -> float | None:
        # Not the picture's own time: those that come last, from the decoder's delay, carry no time base (PyAV 18).
        time_base = self._stream.time_base
        return None if pts is None or time_base is None else float(pts * time_base)


def _missing_bytes(path: Path) -> int:
    """Give how much shorter the file is than its head says, for formats whose reader takes a missing rest for the end.

    AVI is one RIFF chunk with its length in bytes 4 to 8 (Microsoft, "RIFF File Reference"); Matroska is an EBML head
    and a segment, each with a length (RFC 8794, 4 and 5; RFC 9559, 5.1). A head that tells no length is taken at its
    word.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            there = os.fstat(file.fileno()).st_size
    except OSError:  # deleted or replaced meanwhile: what was open was read to its end
        return 0
    declared = 0
    if head.startswith(b"RIFF"):
        declared = 8 + int.from_bytes(head[4:8], "little")
    elif head.startswith(EBML):
        size, at = _ebml_length(head, len(EBML))
        segment = at + size
        if head[segment : segment + len(SEGMENT)] == SEGMENT:
            size, at = _ebml_length(head, segment + len(SEGMENT))
            declared = at + size if size else 0
    return max(0, declared - there)


def _ebml_length(data: bytes, at: int) -> tuple[int, int]:
    """Read a length of 1 to 8 bytes, as many as its first byte has leading zero bits and one more; 0 is unknown."""
    width = 9 - data[at].bit_length() if data[at : at + 1] else 9
    if width > 8 or len(data) < at + width:  # noqa: PLR2004 - the longest there is
        return 0, len(data)
    mask = (1 << 7 * width) - 1
    size = int.from_bytes(data[at : at + width], "big") & mask
    return (0 if size == mask else size), at + width


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    try:
        # "file:" and the whitelist: neither a name such as concat:… nor a playlist inside leads anywhere else.
        options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        # A title in another alphabet is nothing to fail on.
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except FFmpegError as error:
        observed = "of no known format" if error.errno == errno.EINVAL else error.strerror or type(error).__name__
        message = f"cannot open video {path}: {observed}, expected a video"
        raise ConfigError(message) from error
    if not container.streams.video:
        container.close()
        message = (
            f"cannot open video {path}: no pictures in a file of format {container.format.name!r}, expected a video"
        )
        raise ConfigError(message)
    stream = container.streams.video[0]
    if stream.codec_context is None:  # whatever the annotations of PyAV say: a codec that this libav does not know
        container.close()
        message = f"cannot open video {path}: no decoder for its pictures, expected a video of a known codec"
        raise ConfigError(message)
    stream.codec_context.thread_type = "SLICE"
    stream.codec_context.thread_count = DECODER_THREADS
    return container, stream
