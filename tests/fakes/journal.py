"""The end of journald: a datagram socket that reads entries as the native protocol has them."""

from __future__ import annotations

import array
import os
import socket
from pathlib import Path


class Journal:
    """Bound to ``address``; ``entry`` gives the next one, and fails when there is none."""

    def __init__(self, address: Path) -> None:
        self.address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def entry(self) -> dict[str, str]:
        data, rights, _, _ = self._socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        for _, _, given in rights:
            data = _read(array.array("i", given)[0])
        return read_entry(data)

    def close(self) -> None:
        self._socket.close()


def read_entry(data: bytes) -> dict[str, str]:
    """Read ``NAME=value`` lines, and ``NAME``, eight bytes of length, value."""
    found: dict[str, str] = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, has_value, value = line.partition(b"=")
        if has_value:
            data = rest
        else:
            size = int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + size], rest[8 + size + 1 :]
        found[name.decode()] = value.decode()
    return found


def _read(file: int) -> bytes:
    with os.fdopen(file, "rb") as content:
        content.seek(0)
        return content.read()
