"""What error numbers, most of them libav's, mean for the person who set a source up."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from edged.domain.errors import DeviceError, SourceLostError


@dataclass(frozen=True, slots=True)
class Fault:
    """A stable code, what is observed, and the next step."""

    code: str
    observed: str
    remedy: str = ""


UNREADABLE = "let the daemon's user read it and pass through every folder above it: homes are closed to others"
"""The next step for a file or folder that others may not look at."""

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

DEVICE_FAULTS: Mapping[int, Fault] = {
    errno.ENOENT: _ABSENT,
    errno.ENXIO: _ABSENT,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EBUSY: Fault("camera-busy", "another program has it", "end that program; fuser -v tells which it is"),
    errno.ENODEV: _NO_CAMERA,
    errno.ENOTTY: _NO_CAMERA,
    errno.EINVAL: Fault("camera-unsuited", "it has no such format, size or rate", "v4l2-ctl --list-formats-ext tells"),
}

STREAM_FAULTS: Mapping[int, Fault] = {
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

LOST_FAULTS: Mapping[int, Fault] = {
    errno.ENODEV: Fault("camera-unplugged", "unplugged", "plug it in again"),
    errno.EIO: Fault("camera-unplugged", "the device or connection failed", "look at its cable and power"),
    errno.ETIMEDOUT: _SILENT,
    EXIT: _SILENT,
}


def refused(shown: str, faults: Mapping[int, Fault], number: int | None, words: str) -> DeviceError:
    """Say why a camera does not open. ``words`` stand in where the number means nothing in particular."""
    fault = faults.get(number or 0, Fault("device", words))
    message = f"cannot open camera {shown}: {fault.observed}, expected pictures"
    return DeviceError(message, remedy=fault.remedy, code=fault.code)


def lost(shown: str, number: int | None, words: str) -> SourceLostError:
    """Say why a camera gives no more."""
    fault = LOST_FAULTS.get(number or 0, Fault("source-lost", words))
    message = f"cannot read camera {shown}: {fault.observed}, expected the next picture"
    return SourceLostError(message, remedy=fault.remedy, code=fault.code)
