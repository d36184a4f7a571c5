"""A sensor at the other end of a pseudo-terminal: it sends what a test says, and can be unplugged."""

from __future__ import annotations

import os
import pty
import threading
import tty
from contextlib import suppress
from pathlib import Path

from edged.sources.framing import CRCS, ByteOrder, CrcName


class Sensor:
    """``port`` is what edged opens. The name is a link, as in /dev/serial/by-id, so that it can come back elsewhere."""

    def __init__(self, link: Path) -> None:
        self.port = link
        self.lock = threading.Lock()
        """For those who speak in one thread and unplug in another."""
        self.plug()

    def plug(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        # Let go of before they are closed: whoever else closes it meanwhile would close somebody else's file of that number.
        ends, self._master, self._slave = (self._master, self._slave), -1, -1
        for end in ends:
            os.close(end)

    def send(self, data: bytes) -> int:
        """Give how many bytes the line took."""
        return os.write(self._master, data)

    def fill_once(self, data: bytes) -> None:
        """Send what the line takes; nothing while it is unplugged."""
        with suppress(BlockingIOError):
            if self._master >= 0:
                os.write(self._master, data)

    def fill(self, data: bytes) -> int:
        """Send until the line takes no more; give how many bytes it took."""
        sent = 0
        while True:
            try:
                sent += os.write(self._master, data)
            except BlockingIOError:
                return sent

    def close(self) -> None:
        if self._master >= 0:
            self.unplug()


def record(payload: bytes, *, sync: bytes = b"", crc: CrcName = "crc16-ccitt", order: ByteOrder = "little") -> bytes:
    """Give a record with a length of one byte."""
    return sync + checked(bytes((len(payload),)) + payload, crc, order)


def cobs(payload: bytes, crc: CrcName = "crc16-ccitt", order: ByteOrder = "little") -> bytes:
    """Give a COBS frame with its closing zero."""
    return stuffed(checked(payload, crc, order)) + b"\0"


def checked(data: bytes, crc: CrcName, order: ByteOrder) -> bytes:
    kind = CRCS[crc]
    return data + kind.compute(data).to_bytes(kind.size, order)


def stuffed(data: bytes) -> bytes:
    """Encode as Cheshire and Baker do, byte by byte: slow and plain."""
    coded, block = bytearray(), bytearray()
    for byte in data:
        if byte:
            block.append(byte)
        if not byte or len(block) == 254:
            coded += bytes((len(block) + 1,))
            coded += block
            block.clear()
    return bytes(coded + bytes((len(block) + 1,)) + block)
