"""A repository behind a broker, for boxes that reach nothing else: files in blocks, with a window and retries of our own.

A request is a document ``edged.get/1`` on ``out/get``; its answer comes on ``in/file``: 4 bytes with the length of a JSON head,
big-endian, the head ``{"id", "file", "offset", "size", "status", "tag"}``, and the block's bytes. The same on MQTT 5 and 3.1.1. QoS 0 both
ways: what is lost is asked for again, and what comes twice, late or from elsewhere is told by its id and dropped.
"""

from __future__ import annotations

import json
import secrets
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from edged.domain.errors import RetryableError
from edged.fleet.fetch import AbsentError, Reply
from edged.fleet.round_trip import RoundTrip

GET_SCHEMA = "edged.get/1"
BLOCK_BYTES = 128 * 1024
"""With its head and topic within the 144 KiB that a link takes at most."""
FIRST_BYTES, LEAST_BYTES = 16 * 1024, 4 * 1024
"""A block begins small and doubles while answers are quick: on a modem the largest would take a minute."""
QUICK_S = 1.0
WINDOW = 8
"""Blocks under way, at most: 1 MiB, which is all that a resume can waste. It begins with one, and halves when one is late."""
GIVE_UP_S = 180.0
"""Without a single new block for so long there is nobody."""
OK, ABSENT, FORBIDDEN = 200, 404, 403
_HEAD = struct.Struct(">I")
_MAX_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Block:
    """An answer. ``size`` is the whole file's, ``status`` as HTTP's, ``tag`` changes with the file."""

    id: str
    file: str
    offset: int
    size: int
    status: int
    tag: str
    content: bytes

    def packed(self) -> bytes:
        """Write it as it travels."""
        told = {"id": self.id, "file": self.file, "offset": self.offset, "size": self.size, "status": self.status}
        head = json.dumps({**told, "tag": self.tag}, separators=(",", ":")).encode()
        return _HEAD.pack(len(head)) + head + self.content


def unpack(message: bytes) -> Block | None:
    """Read an answer; None for anything else."""
    try:
        (length,) = _HEAD.unpack_from(message)
        head = json.loads(message[_HEAD.size : _HEAD.size + min(length, _MAX_HEAD_BYTES)])
        block = Block(
            str(head["id"]),
            str(head["file"]),
            int(head["offset"]),
            int(head["size"]),
            int(head["status"]),
            str(head.get("tag", "")),
            message[_HEAD.size + length :],
        )
    except (struct.error, ValueError, KeyError, TypeError, RecursionError):
        return None
    return block if block.offset >= 0 and block.size >= 0 else None


@dataclass(slots=True)
class _Asked:
    """A block under way. It was asked for under each of ``names``, so that an answer counts however late it comes."""

    offset: int
    length: int
    sent_s: float
    due_s: float
    names: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Window:
    """What is under way, by id, and what came early, by offset."""

    file: str
    at: int
    next: int
    size: int | None = None
    tag: str = ""
    under_way: list[_Asked] = field(default_factory=list)
    asked: dict[str, _Asked] = field(default_factory=dict)
    early: dict[int, bytes] = field(default_factory=dict)

    def fits(self, block: Block) -> bool:
        """Whether it is the answer to a request under way, neither short nor long, and of the file that the others are of."""
        asked = self.asked.get(block.id)
        if asked is None or block.file != self.file or block.offset != asked.offset:
            return False
        if block.status != OK:
            return True
        same = self.size is None or (self.size, self.tag) == (block.size, block.tag)
        return not same or len(block.content) == max(0, min(asked.length, block.size - asked.offset))


class BlockTransport:
    """``ask`` publishes a request, ``receive`` gives the next message of ``in/file`` or None when none came in so many seconds."""

    def __init__(
        self,
        ask: Callable[[dict[str, Any]], None],
        receive: Callable[[float], Any],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._receive, self._now_s = ask, receive, now_s
        # Nobody who has not seen this session's requests can answer them.
        self._session, self._count = secrets.token_hex(4), 0
        self._trip, self._limit, self._length = RoundTrip(), 1, FIRST_BYTES
        self.refused = 0
        """Blocks that were dropped: late, twice, of the wrong length, or not asked for."""

    @contextmanager
    def read(self, path: str, offset: int = 0, tag: str = "") -> Iterator[Reply]:
        """Ask for a file, as ``Transport`` says."""
        window = _Window(path, offset, offset)
        self._request(window)
        first = self._next(window)
        if first.status in {ABSENT, FORBIDDEN}:
            raise AbsentError(path)
        if offset and (offset > first.size or (tag and first.tag != tag)):
            # Another file than the one whose beginning is there: from its start.
            window = _Window(path, 0, 0)
            self._request(window)
            first = self._next(window)
        yield Reply(window.at, first.tag, self._blocks(window, first))

    def _blocks(self, window: _Window, first: Block) -> Iterator[bytes]:
        window.size, window.tag = first.size, first.tag
        window.early[first.offset] = first.content
        while True:
            while window.at in window.early:
                content = window.early.pop(window.at)
                window.at += len(content)
                yield content
                if not content:
                    return
            if window.at >= first.size:
                return
            self._fill(window, first.size)
            block = self._next(window)
            if (block.status, block.size, block.tag) != (OK, first.size, first.tag):
                message = (
                    f"cannot go on with {window.file}: it changed at its source, expected the same file to its end"
                )
                raise RetryableError(message, code="changed")
            window.early[block.offset] = block.content

    def _fill(self, window: _Window, size: int) -> None:
        while len(window.under_way) + len(window.early) < self._limit and window.next < size:
            self._request(window)

    def _request(self, window: _Window) -> None:
        now_s = self._now_s()
        asked = _Asked(window.next, self._length, now_s, now_s + self._trip.wait_s)
        window.next += asked.length
        window.under_way.append(asked)
        self._send(window, asked)

    def _send(self, window: _Window, asked: _Asked) -> None:
        self._count += 1
        asked.names.append(f"{self._session}-{self._count}")
        window.asked[asked.names[-1]] = asked
        request: Mapping[str, Any] = {"file": window.file, "offset": asked.offset, "length": asked.length}
        self._ask({"schema": GET_SCHEMA, "id": asked.names[-1], **request})

    def _next(self, window: _Window) -> Block:
        """Give the next answer to any request under way. Raises RetryableError, code ``network``."""
        until_s = self._now_s() + GIVE_UP_S
        while (now_s := self._now_s()) < until_s:
            due_s = min(asked.due_s for asked in window.under_way)
            message = self._receive(max(0.0, min(due_s, until_s) - now_s))
            block = unpack(message) if isinstance(message, bytes) else None
            if block is not None and window.fits(block):
                self._settle(window, window.asked[block.id])
                return block
            self.refused += message is not None
            self._ask_again(window)
        message = f"cannot read {window.file}: nobody answered for {GIVE_UP_S:.0f} s, expected blocks on in/file"
        raise RetryableError(message, remedy="start edgectl fleet serve, or look at the broker's rules", code="network")

    def _settle(self, window: _Window, asked: _Asked) -> None:
        for name in asked.names:
            del window.asked[name]
        window.under_way.remove(asked)
        if len(asked.names) > 1:
            return
        took_s = self._now_s() - asked.sent_s
        self._trip.answered(took_s)
        self._limit = min(WINDOW, self._limit + 1)
        if took_s < QUICK_S:
            self._length = min(BLOCK_BYTES, self._length * 2)

    def _ask_again(self, window: _Window) -> None:
        now_s = self._now_s()
        late = [asked for asked in window.under_way if now_s >= asked.due_s]
        if late:
            # A line that is slower than we asked of it would only carry the same blocks again and again.
            self._trip.late()
            self._limit, self._length = max(1, self._limit // 2), max(LEAST_BYTES, self._length // 2)
        for asked in late[: self._limit]:
            asked.due_s = now_s + self._trip.wait_s
            self._send(window, asked)
        for asked in late[self._limit :]:
            asked.due_s = now_s + self._trip.wait_s
