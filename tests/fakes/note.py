"""A small file of the state directory, in memory."""

from __future__ import annotations


class Note:
    """A note in memory."""

    def __init__(self) -> None:
        self.content: bytes | None = None

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        self.content = content
