"""What V4L2 devices say of themselves: every format, size and rate, by the kernel's own calls.

The numbers and structures are those of the kernel's include/uapi/linux/videodev2.h. Asking disturbs nobody who is taking pictures.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

QUERYCAP, ENUM_FMT, ENUM_SIZES, ENUM_INTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
CAPABILITY_BYTES, FORMAT_BYTES, SIZE_BYTES, INTERVAL_BYTES = 104, 64, 44, 52
HAS_DEVICE_CAPS, CAPTURE, CAPTURE_PLANES = 0x8000_0000, 0x1, 0x1000
BUFFER_CAPTURE, BUFFER_CAPTURE_PLANES = 1, 9
DISCRETE = 1
MOST = 64
"""Of each list: a driver that never says that it is at its end must not hold anybody up."""

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True, slots=True)
class Size:
    """A picture's size, the largest where the driver takes any between two; ``rates_hz`` are the highest first."""

    width: int
    height: int
    rates_hz: tuple[float, ...]
    is_any: bool = False
    """Whether smaller ones, and slower rates, are taken too."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How pictures are written: ``fourcc`` such as MJPG, and the driver's own words for it."""

    fourcc: str
    words: str
    sizes: tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """A node that gives pictures. ``is_planar``: only through GStreamer, since libav takes pictures of one plane alone."""

    node: Path
    card: str
    driver: str
    bus: str
    is_planar: bool
    formats: tuple[PixelFormat, ...]


def describe(node: Path, ioctl: Ioctl = fcntl.ioctl) -> Device | None:
    """Ask a node what it gives; None when it gives no pictures (an encoder, or a camera's second node).

    Raises OSError: it may not be opened, or is no V4L2 device.
    """
    number = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _described(node, number, ioctl)
    finally:
        os.close(number)


def _described(node: Path, number: int, ioctl: Ioctl) -> Device | None:
    told = bytearray(CAPABILITY_BYTES)
    ioctl(number, QUERYCAP, told)
    driver, card, bus, _version, caps, device_caps = struct.unpack_from("16s32s32sIII", told)
    caps = device_caps if caps & HAS_DEVICE_CAPS else caps
    if not caps & (CAPTURE | CAPTURE_PLANES):
        return None
    is_planar = not caps & CAPTURE
    kind = BUFFER_CAPTURE_PLANES if is_planar else BUFFER_CAPTURE
    formats = tuple(_formats(number, kind, ioctl))
    return Device(node, _text(card), _text(driver), _text(bus), is_planar, formats)


def _formats(number: int, kind: int, ioctl: Ioctl) -> Iterator[PixelFormat]:
    for told in _listed(number, ENUM_FMT, FORMAT_BYTES, struct.pack("I", kind), ioctl):
        _index, _kind, _flags, words, fourcc = struct.unpack_from("III32sI", told)
        yield PixelFormat(_fourcc(fourcc), _text(words), tuple(_sizes(number, fourcc, ioctl)))


def _sizes(number: int, fourcc: int, ioctl: Ioctl) -> Iterator[Size]:
    for told in _listed(number, ENUM_SIZES, SIZE_BYTES, struct.pack("I", fourcc), ioctl):
        _index, _fourcc_again, kind, *sides = struct.unpack_from("IIIIIIII", told)
        is_any = kind != DISCRETE
        width, height = (sides[1], sides[4]) if is_any else (sides[0], sides[1])
        rates = _rates(number, (fourcc, width, height), ioctl)
        yield Size(width, height, tuple(sorted(set(rates), reverse=True)), is_any)
        if is_any:
            return


def _rates(number: int, asked: tuple[int, int, int], ioctl: Ioctl) -> Iterator[float]:
    for told in _listed(number, ENUM_INTERVALS, INTERVAL_BYTES, struct.pack("III", *asked), ioctl):
        kind, numerator, denominator = struct.unpack_from("III", told, 16)
        # Of a range the shortest interval comes first: the highest rate.
        if numerator:
            yield round(denominator / numerator, 3)
        if kind != DISCRETE:
            return


def _listed(number: int, request: int, size: int, asked: bytes, ioctl: Ioctl) -> Iterator[bytearray]:
    """Give what a call answers to the indexes 0, 1, 2 …, until it says that there is no more."""
    for index in range(MOST):
        told = bytearray(size)
        struct.pack_into(f"I{len(asked)}s", told, 0, index, asked)
        try:
            ioctl(number, request, told)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOTTY}:
                return
            raise
        yield told


def _fourcc(code: int) -> str:
    text = code.to_bytes(4, "little").decode("ascii", "replace")
    return text.rstrip() if text.isprintable() else f"{code:#010x}"


def _text(padded: bytes) -> str:
    return padded.partition(b"\0")[0].decode("utf-8", "replace").strip()
