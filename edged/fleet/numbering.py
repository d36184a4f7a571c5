"""A document's own number in it, and those of others: only who numbers them knows which they got."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

EXPRESS_BLOCK = 1000
"""QoS 0 numbers are reserved on the disk in blocks, not one commit each; a restart skips the rest, which is no loss."""


class Numbers:
    """The last number of each stream; a stream without one begins above ``base``."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.base = 0
        self.passed: dict[str, int] = {}
        """Behind which number of a stream those up to ``base`` were passed over, until somebody takes it from here."""
        self._reserved: dict[str, int] = {}

    def of(self, stream: str) -> int:
        """Give the last number of a stream, committed or not."""
        return self.last.get(stream, self.base)

    def give(self, stream: str, seq: int) -> None:
        """Note the number of a document. A stream that is new above a base may have had numbers that no file held."""
        if self.base and stream not in self.last:
            self.passed[stream] = 0
        self.last[stream] = seq

    def reserve(self, stream: str, seq: int) -> Mapping[str, int]:
        """Note a number that is kept by no commit of its own; gives what has to be on the disk then, if anything new."""
        self.give(stream, seq)
        if seq <= self._reserved.get(stream, 0):
            return {}
        self._reserved[stream] = seq + EXPRESS_BLOCK
        return {stream: self._reserved[stream]}

    def committed(self, stream: str) -> None:
        """Forget what was reserved: the last number of this stream is on the disk."""
        self._reserved.pop(stream, None)

    def reserved(self) -> dict[str, int]:
        """Give what has to be on the disk of every stream."""
        return {stream: max(seq, self._reserved.get(stream, 0)) for stream, seq in self.last.items()}

    def adopt(self, last: Mapping[str, int], base: int) -> None:
        """Go on where a file's last user stopped. What was numbered by now, above a base, was so behind the file's back."""
        self.base = max(self.base, base)
        self.passed.update({stream: seq for stream, seq in last.items() if stream in self.last})
        self.last = {**last, **{stream: max(seq, last.get(stream, 0)) for stream, seq in self.last.items()}}

    def leap(self, wall_ms: int, mono_ms: int) -> None:
        """Go on far above every number: at the time, or as far above the highest as the boot is old where the clock is behind that.

        Within a boot both grow, and faster than the documents of a run that nobody remembers.
        """
        highest = max((self.base, *self.last.values()))
        self.base = wall_ms if wall_ms > highest else highest + mono_ms
        self.rise()

    def rise(self) -> None:
        """Let every stream go on above the base."""
        lower = {stream: seq for stream, seq in self.last.items() if seq < self.base}
        self.passed = {**lower, **self.passed}
        self.last.update(dict.fromkeys(lower, self.base))

    def pass_by(self) -> dict[str, int]:
        """Take what was passed over."""
        passed, self.passed = self.passed, {}
        return passed


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def with_numbers(body: Mapping[str, Any], number: Callable[[str], int]) -> Mapping[str, Any]:
    """Give an alert that declares the last results of a stream suspect their numbers; any other document as it is.

    ``number`` gives the last one of a stream: what was put before the alert has its own by now.
    """
    suspect = body.get("suspect")
    if not isinstance(suspect, dict) or not suspect["told"]:
        return body
    last = number(suspect["stream"])
    first = max(1, last - suspect["told"] + 1)
    return {**body, "suspect": {**suspect, "first_seq": first, "last_seq": last}}


def encoded(body: Mapping[str, Any], device: str, seq: int, number: Callable[[str], int]) -> bytes:
    """Give a document as it is sent; ``number`` as for ``with_numbers``.

    Raises KeyError for one without a schema; TypeError, ValueError or RecursionError for what is no JSON.
    """
    body = with_numbers(body, number)
    document = _encode({"schema": body["schema"], "device": device, **body, "seq": seq})
    # A file's name that is no text stands in a reason as it was read: a question mark costs less than the box's health.
    return document.encode("utf-8", "replace")
