"""A recording of what a camera gives, bounded in time and size: H.264 in MP4, that plays also when it was cut short."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from edged.domain.errors import ConfigError, DeviceError
from edged.domain.frame import Frame
from edged.domain.tensor import Array

MAX_BYTES = 1_000_000_000
CODECS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"preset": "ultrafast", "tune": "zerolatency"}),
    ("mpeg4", {}),
)
"""The first that libav was built with. Whoever measures a box must not load it more than needed."""
TICKS = 90_000
"""A second's, as MPEG counts them."""
KEY_PICTURES = 50
"""From one key picture to the next: what is cut short loses no more than that."""
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


class Recording:
    """Writes pictures, each at its own time. Close it in any case."""

    def __init__(self, file: Path, fps: float | None) -> None:
        """Open ``file``. Raises ConfigError when it cannot be written."""
        self._fps = Fraction(fps or 25).limit_denominator(1000)
        self._stream: Any = None
        self._began_s = 0.0
        self._last = -1
        self._bytes = 0
        self._file, self._was_there = file, file.exists()
        try:
            # What is there stays until there is a picture: the camera may not open.
            self._kept = file.open("ab")
        except OSError as error:
            message = f"cannot record to {file}: {error.strerror}, expected a file that may be written"
            raise ConfigError(message, remedy="name one such as camera.mp4 in a folder that is there") from None
        self._container: Any = None

    def write(self, frame: Frame) -> bool:
        """Write a picture; False when the recording is as large as it may be. A picture of another size ends it, too.

        Raises DeviceError when the disk does not take it.
        """
        try:
            return self._written(frame)
        except OSError as error:  # libav's own errors are OSErrors
            raise self._untaken(error) from None

    def _written(self, frame: Frame) -> bool:
        if self._stream is None:
            self._stream = self._opened(frame.data)
            self._began_s = frame.stamp.source_s
        height, width = frame.data.shape[:2]
        if (self._stream.width, self._stream.height) != _even(width, height):
            return False
        picture = av.VideoFrame.from_ndarray(_cut(frame.data), format="bgr24")
        self._last = max(self._last + 1, round((frame.stamp.source_s - self._began_s) * TICKS))
        picture.pts, picture.time_base = self._last, Fraction(1, TICKS)
        self._mux(picture)
        return self._bytes < MAX_BYTES

    def close(self) -> None:
        """Write what is left. A file in which there is no picture goes again. Raises DeviceError when the disk does not take it."""
        try:
            if self._stream is not None:
                self._mux(None)
                self._container.close()
        except OSError as error:
            raise self._untaken(error) from None
        finally:
            with suppress(OSError):  # told already
                self._kept.close()
            if self._stream is None and not self._was_there:
                self._file.unlink(missing_ok=True)

    def _untaken(self, error: OSError) -> DeviceError:
        message = f"cannot record to {self._file}: {error.strerror}, expected a disk that takes it"
        return DeviceError(
            message, remedy="what is there plays up to its end; name a file on another disk", code="disk"
        )

    def _mux(self, picture: av.VideoFrame | None) -> None:
        packets = self._stream.encode(picture)
        self._bytes += sum(packet.size for packet in packets)
        self._container.mux(packets)

    def _opened(self, picture: Array) -> Any:
        self._kept.truncate(0)
        self._container = av.open(self._kept, "w", format="mp4", options=FRAGMENTS)
        name, options = next(one for one in CODECS if one[0] in av.codecs_available)
        stream: Any = self._container.add_stream(name, rate=self._fps, options=options)
        stream.width, stream.height = _even(picture.shape[1], picture.shape[0])
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = KEY_PICTURES
        return stream


def _even(width: int, height: int) -> tuple[int, int]:
    """Give the size that 4:2:0 can hold."""
    return max(2, width & ~1), max(2, height & ~1)


def _cut(picture: Array) -> Array:
    width, height = _even(picture.shape[1], picture.shape[0])
    cut: Array = picture[:height, :width].copy()
    return cut
