"""The parts of an HTTP camera's endless answer (RFC 2046, 5.1; multipart/x-mixed-replace), whatever their heads say."""

from __future__ import annotations

MAX_PART_BYTES = 16 * 1024 * 1024
"""Far more than a camera's picture; what is longer is no picture, and must not fill the memory."""
MAX_HEAD_BYTES = 8 * 1024

_START, _END = b"\xff\xd8", b"\xff\xd9"
"""A JPEG's first and last marker (ITU-T T.81, table B.1)."""


class Parts:
    """Cuts bytes into parts as they come.

    A part is done as soon as its announced length ends in a JPEG's end, so that it need not wait for the next one's
    head. Where the length is absent or wrong, it ends at the next boundary. ``oversized`` counts what was thrown away.
    """

    def __init__(self, boundary: bytes) -> None:
        # Cameras write the boundary with or without the dashes that RFC 2046 puts before it.
        self._mark = b"--" + boundary.lstrip(b"-")
        self._buffer = bytearray()
        self._body: int | None = None  # where the body begins, once its head is whole
        self._length: int | None = None
        self._searched = 0
        self.oversized = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; give the parts that they complete."""
        self._buffer += data
        parts = []
        while (part := self._part()) is not None:
            parts.append(part)
        if len(self._buffer) > MAX_PART_BYTES:
            self.oversized += 1
            self._restart(len(self._buffer) - len(self._mark))
        return parts

    def _part(self) -> bytes | None:
        """Give the part at the buffer's start and take it out of there; None while it is not whole."""
        while self._body is None:
            if not self._read_head():
                return None
        body, length = self._body, self._length
        if length is not None and self._ends_at(body + length):
            return self._taken(body + length, body + length)
        mark = self._buffer.find(self._mark, max(body, self._searched))
        if mark >= 0:
            return self._taken(mark, mark)
        self._searched = max(body, len(self._buffer) - len(self._mark))
        tail = bytes(self._buffer[-4:])
        if length is None and self._buffer[body : body + 2] == _START and tail.rstrip(b"\r\n").endswith(_END):
            end = len(self._buffer) - len(tail) + len(tail.rstrip(b"\r\n"))
            return self._taken(end, end)
        return None

    def _ends_at(self, end: int) -> bool:
        return len(self._buffer) >= end and self._buffer[end - 2 : end] == _END

    def _read_head(self) -> bool:
        """Find where the body begins; False while the head is not whole."""
        mark = self._buffer.find(self._mark)
        if mark < 0:
            del self._buffer[: max(0, len(self._buffer) - len(self._mark))]
            return False
        end = self._buffer.find(b"\r\n\r\n", mark)
        if end < 0:
            if len(self._buffer) - mark > MAX_HEAD_BYTES:
                self._restart(mark + len(self._mark))
                return True
            return False
        self._length = _length(bytes(self._buffer[mark:end]))
        self._body = end + 4
        return True

    def _taken(self, end: int, keep_from: int) -> bytes:
        assert self._body is not None  # noqa: S101 - a part has a body
        part = bytes(self._buffer[self._body : end])
        self._restart(keep_from)
        return part

    def _restart(self, keep_from: int) -> None:
        del self._buffer[:keep_from]
        self._body, self._length, self._searched = None, None, 0


def _length(head: bytes) -> int | None:
    """Read a head's Content-Length; None where there is none that makes sense."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
            return length if 0 < length <= MAX_PART_BYTES else None
    return None
