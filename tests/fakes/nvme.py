"""An NVMe drive as the kernel's call for administrators answers for it: struct nvme_admin_cmd in, the asked log page at its address."""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass

NVME_IOCTL_ADMIN_CMD = 3 << 30 | 72 << 16 | ord("N") << 8 | 0x41
"""_IOWR('N', 0x41, struct nvme_admin_cmd)."""


@dataclass(frozen=True)
class Drive:
    used: int = 0
    spare: int = 100
    warning: int = 0
    error: int = 0
    status: int = 0
    """What the drive refuses with; the call itself succeeds then, and leaves the page as it was."""

    def __call__(self, _descriptor: int, number: int, asked: bytearray) -> int:
        assert (number, len(asked)) == (NVME_IOCTL_ADMIN_CMD, 72)
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        if self.status:
            return self.status
        opcode, namespace = asked[0], struct.unpack_from("<I", asked, 4)[0]
        address, length, word_10 = (
            struct.unpack_from(form, asked, at)[0] for form, at in (("<Q", 24), ("<I", 36), ("<I", 40))
        )
        assert (opcode, namespace, word_10 & 0xFF) == (0x02, 0xFFFFFFFF, 0x02), (
            "Get Log Page, SMART, of the whole drive"
        )
        assert (word_10 >> 16) == length // 4 - 1 == 127
        page = struct.pack("<BHBBB", self.warning, 313, self.spare, 10, self.used).ljust(length, b"\0")
        ctypes.memmove(address, page, length)
        return 0
