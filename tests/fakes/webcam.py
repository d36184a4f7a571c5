"""A USB camera's driver: it answers V4L2's calls, in a test or behind umockdev. Imports nothing but Python's own.

Its answers are laid out from the kernel's include/uapi/linux/videodev2.h.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass

Rates = tuple[tuple[int, int], ...]
UVC: dict[str, dict[tuple[int, int], Rates]] = {
    "MJPG": {(1280, 720): ((1, 30), (1, 60)), (1920, 1080): ((1, 30),)},
    "YUYV": {(640, 480): ((1, 30), (2, 15)), (1280, 720): ((1, 10),)},
}


@dataclass
class Webcam:
    """A USB camera; ``ioctl`` answers as fcntl.ioctl does."""

    caps: int = 0x84A0_0001
    device_caps: int = 0x0420_0001
    formats: dict[str, dict[tuple[int, int], Rates]] | None = None
    stepwise: tuple[int, int] | None = None

    def ioctl(self, _number: int, request: int, told: bytearray) -> int:
        answer = self.answer(request, bytes(told))
        if answer is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        told[:] = answer
        return 0

    def answer(self, request: int, asked: bytes) -> bytes | None:
        """Give the structure filled in; None for EINVAL."""
        kind = request & 0xFF
        return {0: self._capability, 2: self._format, 74: self._size, 75: self._interval}[kind](asked)

    def _capability(self, _asked: bytes) -> bytes:
        names = (b"uvcvideo", b"HD Webcam C270", b"usb-0000:00:14.0-2")
        return struct.pack("16s32s32sIII12x", *names, 0x060600, self.caps, self.device_caps)

    def _format(self, asked: bytes) -> bytes | None:
        index, kind = struct.unpack_from("II", asked)
        known = list(self._formats)
        if kind != 1 or index >= len(known):
            return None
        words = {"MJPG": b"Motion-JPEG", "YUYV": b"YUYV 4:2:2"}.get(known[index], b"")
        return struct.pack("III32s4s16x", index, kind, 0, words, known[index].encode())

    def _size(self, asked: bytes) -> bytes | None:
        index, fourcc = struct.unpack_from("I4s", asked)
        sizes = list(self._formats[fourcc.decode()])
        if index >= len(sizes):
            return None
        if self.stepwise:
            return struct.pack("I4sIIIIIII8x", index, fourcc, 3, 16, self.stepwise[0], 2, 16, self.stepwise[1], 2)
        return struct.pack("I4sIII24x", index, fourcc, 1, *sizes[index])

    def _interval(self, asked: bytes) -> bytes | None:
        index, fourcc, width, height = struct.unpack_from("I4sII", asked)
        rates = self._formats[fourcc.decode()].get((width, height), ())
        if index >= len(rates):
            return None
        return struct.pack("I4sIIIII24x", index, fourcc, width, height, 1, *rates[index])

    @property
    def _formats(self) -> dict[str, dict[tuple[int, int], Rates]]:
        return UVC if self.formats is None else self.formats
