"""The outbox as a whole, whatever happens in whatever order: its promises to the fleet."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edged.domain.message import Draft
from edged.fleet.ready import Ready
from edged.fleet.topics import Stamper
from edged.fleet.volume import Volume
from edged.fleet.writer import Writer
from fakes.clock import FakeClock

MAX_BYTES = 1024 * 1024
STREAMS = ("event/a", "result/a", "telemetry")


class Fleet(RuleBasedStateMachine):
    """Puts, acknowledgements, lost connections, kills, a disk that refuses: every number arrives or is declared lost."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.arrived: dict[str, list[int]] = defaultdict(list)
        self.lost: dict[str, int] = defaultdict(int)
        self.gaps: set[tuple[str, int, int]] = set()
        self.committed: dict[str, int] = defaultdict(int)
        self.start()

    def start(self) -> None:
        self.ready = Ready(max_rows=16, max_bytes=200_000)
        self.writer = Writer(
            Volume(self.folder / "outbox.sqlite3", max_bytes=MAX_BYTES, clock=self.clock),
            device="press-07",
            stamper=Stamper("boot-1", self.clock),
            clock=self.clock,
            ready=self.ready,
            guard=contextlib.nullcontext(),
            on_commit=self.commit,
        )

    def commit(self, stream: str, seq: int) -> None:
        assert seq > self.committed[stream] or self.refused
        self.committed[stream] = seq

    refused = False

    @rule(stream=st.integers(0, 2), count=st.integers(1, 40), size=st.integers(0, 20_000))
    def put(self, stream: int, count: int, size: int) -> None:
        for _ in range(count):
            body = {"schema": "edged.result/1", "pad": "x" * size}
            self.writer.take(Draft(STREAMS[stream], body, priority=stream))

    @rule(limit=st.integers(1, 30))
    def send(self, limit: int) -> None:
        rows = self.ready.take(limit)
        for row in rows:
            if row.stream == "alert":
                gap = json.loads(row.payload)
                self.gaps.add((gap["stream"], gap["first_seq"], gap["last_seq"]))
                self.lost[gap["stream"]] += gap["count"]
            if row.seq not in self.arrived[row.stream]:
                self.arrived[row.stream].append(row.seq)
        self.writer.settle([row.key for row in rows if self.ready.settle(row.key)])
        self.writer.refill()

    @rule(limit=st.integers(1, 30))
    def lose_the_connection(self, limit: int) -> None:
        self.ready.take(limit)
        self.ready.give_back()

    @rule()
    def wait(self) -> None:
        self.clock.advance(3)
        self.writer.tick()

    @rule()
    def kill(self) -> None:
        """Nothing is written any more; only what was never on the disk is gone."""
        if not self.refused:
            self.writer._volume.close()
            self.start()

    @rule()
    def refuse_writes_for_a_while(self) -> None:
        store = self.writer._volume.store
        if store is not None:
            self.refused = True
            store._execute("PRAGMA query_only = ON")

    @invariant()
    def the_disk_is_bounded(self) -> None:
        assert self.writer.disk_bytes() <= MAX_BYTES

    @invariant()
    def streams_are_in_order(self) -> None:
        for stream, numbers in self.arrived.items():
            assert numbers == sorted(numbers), stream

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        for _ in range(400):
            self.wait()
            self.send(30)
        for stream in STREAMS:
            missing = set(range(1, self.writer.number(stream) + 1)) - set(self.arrived[stream])
            declared = [(first, last) for name, first, last in self.gaps if name == stream]
            assert all(any(first <= seq <= last for first, last in declared) for seq in missing), stream
            assert self.lost[stream] == len(missing)
        assert self.writer.trouble is None
        assert self.writer.pending == 0
        self.writer.close()
        shutil.rmtree(self.folder)


Fleet.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestFleet = Fleet.TestCase
