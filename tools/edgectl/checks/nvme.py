"""What an NVMe drive says of its own life, by the kernel's call for administrators (include/uapi/linux/nvme_ioctl.h).

The answer is the SMART / Health Information log page of the NVM Express Base Specification 2.0, section 5.16.1.3.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ADMIN = 0xC0484E41
"""NVME_IOCTL_ADMIN_CMD: _IOWR('N', 0x41, struct nvme_admin_cmd), of 72 bytes."""
COMMAND = struct.Struct("=BBHIIIQQIIIIIIIIII")
"""Opcode, flags, reserved, namespace, two words, metadata, address, its two lengths, command words 10 to 15, time-out in ms, result."""
GET_LOG, HEALTH, PAGE_BYTES = 0x02, 0x02, 512
WHOLE_DRIVE = 0xFFFF_FFFF
ANSWER_MS = 2000
FAULTS = {
    0: "its spare blocks run out",
    2: "it is no longer reliable",
    3: "it takes no more writes",
    4: "what saves its cache at a power cut has failed",
}
"""Bits of the critical warning; bit 1 is of temperature, which passes."""

Ioctl = Callable[[int, int, bytearray], int]


@dataclass(frozen=True, slots=True)
class Health:
    """``used`` is the share of the promised writes in percent, up to 255; ``spare`` what is left of the spare blocks in percent."""

    used: int
    spare: int
    faults: tuple[str, ...] = ()


def health(node: Path, ioctl: Ioctl = fcntl.ioctl) -> Health:
    """Ask a drive (``/dev/nvme0``). Raises OSError: it may not be opened (root alone may), or it does not answer."""
    page = ctypes.create_string_buffer(PAGE_BYTES)
    words = (PAGE_BYTES // 4 - 1) << 16 | HEALTH
    asked = COMMAND.pack(
        *(GET_LOG, 0, 0, WHOLE_DRIVE, 0, 0, 0), ctypes.addressof(page), 0, PAGE_BYTES, words, *[0] * 5, ANSWER_MS, 0
    )
    number = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = ioctl(number, ADMIN, bytearray(asked))
    finally:
        os.close(number)
    if status:
        # The drive's own refusal is no error of the call: nothing was written to the page then, which would say that all is well.
        raise OSError(errno.EIO, f"it answered with status {status:#x}")
    warning, _temperature, spare, _least, used = struct.unpack_from("<BHBBB", page)
    return Health(used, spare, tuple(word for bit, word in FAULTS.items() if warning >> bit & 1))
