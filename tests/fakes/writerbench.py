"""An outbox's writer and the link's side of its queue."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import ClassVar

from edged.domain.message import Draft
from edged.fleet.ready import Ready, Row
from edged.fleet.topics import Stamper
from edged.fleet.volume import Volume
from edged.fleet.writer import Writer
from fakes.clock import FakeClock

MIB = 1024 * 1024


class Bench:
    """A writer and the link's side of its queue."""

    opened: ClassVar[list[Bench]] = []

    def __init__(self, path: Path, *, max_bytes: int = 8 * MIB, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.ready = Ready()
        self.commits: list[tuple[str, int]] = []
        self.writer = Writer(
            Volume(path, max_bytes=max_bytes, clock=self.clock),
            device="press-07",
            stamper=Stamper("boot-1", self.clock),
            clock=self.clock,
            ready=self.ready,
            guard=contextlib.nullcontext(),
            on_commit=lambda stream, seq: self.commits.append((stream, seq)),
        )
        self.opened.append(self)

    def put(self, stream: str = "result/a", priority: int = 1, size: int = 10, qos: int = 1) -> None:
        body = {"schema": "edged.result/1", "pad": "x" * size}
        self.writer.take(Draft(stream, body, qos=qos, priority=priority))

    def send(self, limit: int = 1000) -> list[Row]:
        """Take what there is and acknowledge it."""
        rows = self.ready.take(limit)
        self.writer.settle([row.key for row in rows if row.qos and self.ready.settle(row.key)])
        self.writer.refill()
        return rows

    def send_all(self) -> list[Row]:
        rows: list[Row] = []
        while found := self.send():
            rows += found
        return rows

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.writer.tick()


def numbers(rows: list[Row], stream: str) -> list[int]:
    return [row.seq for row in rows if row.stream == stream]


def declared(rows: list[Row]) -> list[tuple[object, ...]]:
    """Give the gaps that documents tell of: stream, first and last number, how many are missing, why."""
    told = [json.loads(row.payload) for row in rows if row.stream == "alert"]
    keys = ("stream", "first_seq", "last_seq", "count", "reason")
    return [tuple(one[key] for key in keys) for one in told if one["schema"] == "edged.gap/1"]
