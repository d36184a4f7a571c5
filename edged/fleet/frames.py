"""Messages through a pipe between two processes of edged: JSON, and blocks of bytes beside it.

Each is its length in 4 bytes, big-endian, a letter for its kind, and its content.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 1024**2
"""No message of ours comes near it."""
_HEAD = struct.Struct(">Ic")
_JSON, _BLOCK = b"J", b"B"
_READ_BYTES = 65_536


def pack(message: Any) -> bytes:
    """Frame a block of bytes, or anything else as JSON."""
    is_block = isinstance(message, bytes)
    content = message if is_block else json.dumps(message, separators=(",", ":")).encode()
    return _HEAD.pack(len(content), _BLOCK if is_block else _JSON) + content


class Unpacker:
    """Puts together what comes in pieces."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> Iterator[Any]:
        """Give every message that is whole now. Raises ValueError for what is none; the stream is of no use then."""
        self._held += piece
        while len(self._held) >= _HEAD.size:
            size, kind = _HEAD.unpack_from(self._held)
            if size > MAX_BYTES or kind not in {_JSON, _BLOCK}:
                message = (
                    f"cannot read a message of {size} bytes and kind {kind!r}, expected at most {MAX_BYTES} of J or B"
                )
                raise ValueError(message)
            end = _HEAD.size + size
            if len(self._held) < end:
                return
            content = bytes(self._held[_HEAD.size : end])
            del self._held[:end]
            yield content if kind == _BLOCK else json.loads(content)


def write_all(descriptor: int, content: bytes) -> None:
    """Write everything, however often the pipe takes a part. Raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def read_some(descriptor: int) -> bytes:
    """Give what is there; empty at the end."""
    return os.read(descriptor, _READ_BYTES)
