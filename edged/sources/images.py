"""Pictures in files, in name order, through OpenCV."""

from __future__ import annotations

import glob
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from edged.domain.errors import ConfigError, FrameError, SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock
from edged.domain.tensor import Array
from edged.sources import faults
from edged.telemetry import logs

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as a picture in a folder: formats that every build of OpenCV reads."""

PICTURES_A_SECOND = 1.0
"""The source's own time needs some rate where nothing tells one."""

_LOG = logging.getLogger("edged.sources.images")


def open_source(*, path: Path | str, clock: Clock, loop: bool = False, fps: float | None = None) -> ImagesSource:
    """Find the pictures; none is read yet.

    Args:
        path: a folder, a pattern such as ``/data/*.jpg``, or one picture.
        clock: stamps the pictures.
        loop: begin again at the end.
        fps: the rate of the source's own time (``source_s = index / fps``). Keeping that pace is the feed's part.

    Raises:
        ConfigError: there is no such folder, or no picture in it.
    """
    return ImagesSource(_find(Path(path)), clock, where=str(path), loop=loop, fps=fps or PICTURES_A_SECOND)


def read_picture(file: Path) -> Array:
    """Give one picture, (H, W, 3) uint8 BGR, turned as its EXIF orientation says.

    Raises:
        ConfigError: there is no such file, or it is no whole picture.
    """
    fault, picture = _load(file)
    if picture is None:
        message = f"cannot read picture {file}: {fault}, expected a whole picture"
        raise ConfigError(message)
    return picture


def decode_picture(encoded: bytes) -> Array:
    """Give an encoded picture, (H, W, 3) uint8 BGR, turned as its EXIF orientation says. Raises FrameError."""
    fault, picture = _decode(np.frombuffer(encoded, np.uint8))
    if picture is None:
        message = f"cannot decode a picture of {len(encoded)} bytes: {fault}, expected a whole picture"
        raise FrameError(message)
    return picture


class ImagesSource:
    """Frames of (H, W, 3) uint8 BGR, turned as their EXIF orientation says.

    A picture that cannot be read is passed over, logged, and counted in ``drops`` as ``unreadable``.
    """

    def __init__(self, files: Sequence[Path], clock: Clock, *, where: str, loop: bool, fps: float) -> None:
        self.drops: Counter[str] = Counter()
        self._files = tuple(files)
        self._clock = clock
        self._where = where
        self._loop = loop
        self._fps = fps
        self._next = 0
        self._index = 0
        self._good_in_pass = 0
        self._closed = False

    def read(self) -> Frame | None:
        """Give the next readable picture.

        Raises:
            SourceLostError: not one of the pictures could be read.
        """
        while not self._closed:
            if self._next == len(self._files) and not self._rewind():
                return None
            file = self._files[self._next]
            self._next += 1
            fault, picture = _load(file)
            if picture is not None:
                self._good_in_pass += 1
                return self._frame(picture)
            self.drops["unreadable"] += 1
            logs.event(_LOG, "picture.unreadable", level=logging.WARNING, path=str(file), fault=fault)
        return None

    def close(self) -> None:
        """Stop; nothing is held open between two reads."""
        self._closed = True

    def __repr__(self) -> str:
        """Say where it reads and how far it is."""
        return (
            f"<ImagesSource {self._where}: {self._next} of {len(self._files)}, {self.drops['unreadable']} unreadable>"
        )

    def _rewind(self) -> bool:
        if not self._good_in_pass:
            message = (
                f"cannot read pictures from {self._where}: all {len(self._files)} are unreadable, expected pictures"
            )
            raise SourceLostError(message, remedy="the log names each with what is wrong with it")
        if self._loop:
            self._next = 0
            self._good_in_pass = 0
        return self._loop

    def _frame(self, picture: Array) -> Frame:
        stamp = Stamp(self._index, self._clock.monotonic_ns(), self._clock.wall_ns(), self._index / self._fps)
        self._index += 1
        return Frame(picture, stamp)


def _find(path: Path) -> list[Path]:
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # is_dir of Python 3.14 does not tell "denied" from "absent"
        files, wanted = _files(path)
    except OSError as error:
        message = f"cannot open images {path}: {error.strerror}, expected pictures that edged may read"
        raise ConfigError(message, remedy=faults.UNREADABLE) from error
    if not files:
        message = f"cannot open images {path}: no picture, expected {wanted}"
        raise ConfigError(message)
    return sorted(files)


def _files(path: Path) -> tuple[list[Path], str]:
    """Give the files, and what would have been one."""
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
        return files, f"files that end in {' '.join(sorted(SUFFIXES))}"
    if path.is_file():
        return [path], ""
    if glob.has_magic(str(path)):
        files = [Path(name) for name in glob.glob(str(path)) if Path(name).is_file()]  # noqa: PTH207 - the pattern may be absolute
        return files, "files that match the pattern"
    message = f"cannot open images {path}: no such file or folder, expected a folder, a pattern or a picture"
    raise ConfigError(message)


def _load(file: Path) -> tuple[str, Array | None]:
    """Give the picture, or what is wrong with it."""
    try:
        data = np.fromfile(file, np.uint8)
    except OSError as error:
        return error.strerror or str(error), None
    return _decode(data)


def _decode(data: Array) -> tuple[str, Array | None]:
    if not data.size:
        return "the file is empty", None
    if _is_cut_jpeg(data.tobytes()):
        return "the file ends in the middle of the picture", None
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as error:
        words = str(error).strip()
        return "it has more pixels than OPENCV_IO_MAX_IMAGE_PIXELS allows" if "CV_IO_MAX" in words else words, None
    return "no picture that OpenCV can decode", picture


def _is_cut_jpeg(data: bytes) -> bool:
    """Whether a JPEG has no end-of-image marker after its scan begins (ITU-T T.81, B.1.1.3 and B.2.1).

    OpenCV 4 fills what is missing with grey and calls the picture good.
    """
    if not data.startswith(b"\xff\xd8"):
        return False
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":  # a segment; its thumbnail has an end too
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return b"\xff\xd9" not in data[at:]
