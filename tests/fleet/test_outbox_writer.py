"""The outbox's decisions, without its thread: a fake clock, a real file."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from edged.domain.errors import DeviceError
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


def others_take_the_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, left_pages: int) -> None:
    """Leave the outbox's file so many pages to grow by, as statvfs tells it, until its size is taken into account anew."""
    store = bench.writer._volume.store
    assert store is not None
    filled = store._execute("PRAGMA page_count").fetchone()[0] + left_pages
    left = lambda: max(0, filled - store._execute("PRAGMA page_count").fetchone()[0])  # noqa: E731
    monkeypatch.setattr(store, "_disk_pages", left)
    bench.writer._room = 0  # the next exact look is due


@pytest.fixture(autouse=True)
def _ends_with_its_test() -> Iterator[None]:
    """Close the files that a test left open, as a kill does: from Python 3.13 on, a forgotten connection is a warning."""
    yield
    while Bench.opened:
        Bench.opened.pop().writer._volume.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def numbers(rows: list[Row], stream: str) -> list[int]:
    return [row.seq for row in rows if row.stream == stream]


def test_a_document_carries_schema_device_and_seq(path: Path) -> None:
    bench = Bench(path)

    bench.put()

    (row,) = bench.send()
    assert json.loads(row.payload) == {"schema": "edged.result/1", "device": "press-07", "pad": "x" * 10, "seq": 1}


@pytest.mark.parametrize(
    ("told", "numbered"),
    [(3, {"first_seq": 3, "last_seq": 5}), (9, {"first_seq": 1, "last_seq": 5}), (0, {})],
    ids=["some", "all", "none"],
)
def test_an_alert_that_declares_results_suspect_is_given_their_numbers(
    path: Path, told: int, numbered: dict[str, int]
) -> None:
    bench = Bench(path)
    for _ in range(5):
        bench.put()
    suspect = {"stream": "result/a", "told": told}
    bench.writer.take(Draft("alert", {"schema": "edged.alert/1", "suspect": suspect}, priority=0))

    (alert,) = [json.loads(row.payload) for row in bench.send_all() if row.stream == "alert"]
    assert alert["suspect"] == suspect | numbered


def test_numbers_go_on_without_a_gap_after_the_queue_drained_and_a_restart(path: Path) -> None:
    first = Bench(path)
    for _ in range(3):
        first.put()
    sent = first.send_all()
    first.writer.close()
    second = Bench(path)

    second.put()
    second.put("result/b")

    rows = sent + second.send_all()
    assert numbers(rows, "result/a") == [1, 2, 3, 4]
    assert numbers(rows, "result/b") == [1]


def test_keys_are_never_used_twice_though_the_queue_drained(path: Path) -> None:
    first = Bench(path)
    first.put()
    keys = [row.key for row in first.send_all()]
    first.writer.close()
    second = Bench(path)

    second.put()

    assert keys + [row.key for row in second.send_all()] == [(1, 1), (1, 2)]


def test_what_was_not_acknowledged_is_sent_again_by_the_next_run_in_order(path: Path) -> None:
    first = Bench(path)
    for _ in range(5):
        first.put()
    first.ready.take(2)
    first.writer.close()

    second = Bench(path)

    assert second.writer.pending == 5
    assert numbers(second.send_all(), "result/a") == [1, 2, 3, 4, 5]
    assert second.writer.pending == 0


def test_more_than_memory_holds_is_read_back_from_the_disk_in_order(path: Path) -> None:
    bench = Bench(path)
    for _ in range(1500):
        bench.put()

    rows = bench.send_all()

    assert numbers(rows, "result/a") == list(range(1, 1501))


def test_the_urgent_goes_first(path: Path) -> None:
    bench = Bench(path)
    bench.put("telemetry", 2)
    bench.put("result/a", 1)
    bench.put("event/a", 0)

    assert [row.stream for row in bench.send_all()] == ["event/a", "result/a", "telemetry"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), "x" * 140_000])
def test_what_is_no_document_of_the_contract_is_rejected_and_takes_no_number(path: Path, value: object) -> None:
    bench = Bench(path)

    bench.writer.take(Draft("result/a", {"schema": "edged.result/1", "value": value}))
    bench.put()

    assert bench.writer.counts.rejected == 1
    assert numbers(bench.send_all(), "result/a") == [1]


def test_a_name_that_is_no_text_costs_a_character_and_not_the_document(path: Path) -> None:
    bench = Bench(path)

    bench.writer.take(Draft("health", {"schema": "edged.health/1", "message": os.fsdecode(b"cannot read bad\xff.csv")}))

    (row,) = bench.send_all()
    assert json.loads(row.payload)["message"] == "cannot read bad?.csv"
    assert bench.writer.counts.rejected == 0


def test_a_body_without_schema_is_rejected(path: Path) -> None:
    bench = Bench(path)

    bench.writer.take(Draft("result/a", {"frame": 1}))

    assert bench.writer.counts.rejected == 1


def test_qos_0_is_numbered_but_not_kept(path: Path) -> None:
    first = Bench(path)
    first.put(qos=0)
    first.put(qos=0)
    sent = first.send_all()
    first.put(qos=0)
    first.writer.close()

    second = Bench(path)
    second.put(qos=0)

    assert numbers(sent, "result/a") == [1, 2]
    assert first.commits == []
    (row,) = second.send_all()
    assert row.seq > 3


def test_a_stream_that_changes_from_qos_0_to_1_keeps_rising(path: Path) -> None:
    bench = Bench(path)
    bench.put(qos=0)
    bench.put()
    bench.put(qos=0)

    assert sorted(numbers(bench.send_all(), "result/a")) == [1, 2, 3]
    bench.writer.close()
    again = Bench(path)
    again.put()
    assert numbers(again.send_all(), "result/a") > [3]


def test_a_full_outbox_evicts_the_oldest_of_the_lowest_priority_and_declares_it(path: Path) -> None:
    bench = Bench(path, max_bytes=MIB)
    for _ in range(100):
        bench.put("event/a", 0, size=800)
    for _ in range(1200):
        bench.put("telemetry", 2, size=800)
    bench.later(3)

    rows = bench.send_all()

    assert numbers(rows, "event/a") == list(range(1, 101))
    kept = numbers(rows, "telemetry")
    lost = 1200 - len(kept)
    assert lost > 200
    assert kept == list(range(lost + 1, 1201))
    (gap,) = [json.loads(row.payload) for row in rows if row.stream == "alert"]
    wanted = {"schema": "edged.gap/1", "stream": "telemetry", "first_seq": 1, "last_seq": lost, "count": lost}
    assert (
        gap.items() >= {**wanted, "reason": "outbox-full", "boot_id": "boot-1", "device": "press-07", "seq": 1}.items()
    )
    assert bench.writer.losses.by_stream == {"telemetry": lost}


def test_telemetry_never_evicts_an_event(path: Path) -> None:
    bench = Bench(path, max_bytes=MIB)
    for _ in range(1200):
        bench.put("event/a", 0, size=800)
    before = bench.writer.losses.by_stream["event/a"]

    for _ in range(100):
        bench.put("telemetry", 2, size=3000)

    assert bench.writer.losses.by_stream["event/a"] == before
    assert bench.writer.losses.by_stream["telemetry"] > 50


def test_a_stream_that_the_broker_forbids_is_the_first_to_go(path: Path) -> None:
    bench = Bench(path, max_bytes=MIB)
    bench.ready.park("event/forbidden")
    for _ in range(1200):
        bench.put("event/forbidden", 0, size=800)
    for _ in range(300):
        bench.put("telemetry", 2, size=800)

    assert set(bench.writer.losses.by_stream) == {"event/forbidden"}
    assert numbers(bench.send_all(), "telemetry") == list(range(1, 301))


def test_what_was_set_aside_is_read_back_behind_more_than_memory_holds(path: Path) -> None:
    bench = Bench(path)
    bench.ready.park("result/a")
    for _ in range(600):
        bench.put("result/a")
    for _ in range(400):
        bench.put("result/b")
    assert numbers(bench.send_all(), "result/b") == list(range(1, 401))

    bench.ready.unpark()
    bench.writer.refill()

    assert numbers(bench.send_all(), "result/a") == list(range(1, 601))
    assert bench.writer.pending == 0


def test_the_files_stay_within_the_bound(path: Path) -> None:
    bench = Bench(path, max_bytes=2 * MIB)
    most = 0
    for n in range(2000):
        bench.put(f"result/{n % 3}", n % 3, size=(n * 37) % 4000)
        most = max(most, bench.writer.disk_bytes())

    assert most <= 2 * MIB


def test_what_is_on_its_way_is_not_evicted(path: Path) -> None:
    bench = Bench(path, max_bytes=MIB)
    bench.put(size=800)
    (row,) = bench.ready.take(1)

    for _ in range(1000):
        bench.put(size=800)

    assert bench.ready.settle(row.key) == row
    assert 1 not in numbers(bench.send_all(), "result/a")
    assert bench.writer.losses.gaps[0].first_seq == 2


def test_a_loss_that_could_not_be_declared_is_declared_by_the_next_run(path: Path) -> None:
    first = Bench(path, max_bytes=MIB)
    for _ in range(1200):
        first.put(size=800)
    lost = first.writer.losses.by_stream["result/a"]
    first.writer._volume.close()  # as a kill would: nothing more is written

    second = Bench(path, max_bytes=MIB)
    second.writer.tick()

    (gap,) = [json.loads(row.payload) for row in second.send_all() if row.stream == "alert"]
    assert (gap["stream"], gap["count"]) == ("result/a", lost)


def test_a_refused_document_is_declared(path: Path) -> None:
    bench = Bench(path)
    bench.put()
    (row,) = bench.ready.take(1)
    bench.ready.settle(row.key)

    bench.writer.refuse(row, "broker-99")
    bench.later(3)

    (gap,) = [json.loads(row.payload) for row in bench.send_all()]
    assert (gap["stream"], gap["first_seq"], gap["reason"]) == ("result/a", 1, "broker-99")
    assert bench.writer.pending == 0


def test_a_file_that_is_no_database_is_set_aside_and_reported(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 1000)

    bench = Bench(path)
    bench.put()

    (found,) = bench.writer.incidents
    assert found.code == "outbox-corrupt"
    assert bench.writer.trouble is None
    assert len(list(path.parent.glob("*.corrupt-*"))) == 1
    (row,) = bench.send_all()
    assert row.seq > 1_000_000_000_000  # far above whatever the lost file may have given


def test_a_damaged_page_is_found_when_it_is_read_and_what_is_in_memory_survives(path: Path) -> None:
    first = Bench(path)
    for _ in range(1000):
        first.put(size=2000)
    first.writer.close()
    with path.open("r+b") as file:
        for page in range(20, 200):
            file.seek(page * 4096)
            file.write(os.urandom(64))

    bench = Bench(path)
    for _ in range(300):
        bench.put("event/a", 0)
    bench.send_all()
    bench.later(3)
    bench.put("event/a", 0)
    bench.later(3)

    assert bench.writer.trouble is None
    assert [found.code for found in bench.writer.incidents] == ["outbox-corrupt"]
    assert bench.writer.number("event/a") in numbers(bench.send_all(), "event/a")


def test_a_second_process_is_refused(path: Path) -> None:
    first = Bench(path)

    with pytest.raises(DeviceError, match="another process holds it"):
        Bench(path)

    first.writer.close()


def test_a_full_disk_is_survived_in_memory_and_mended_by_itself(path: Path) -> None:
    bench = Bench(path)
    bench.put()
    store = bench.writer._volume.store
    assert store is not None
    used = store._execute("PRAGMA page_count").fetchone()[0]
    store._execute(f"PRAGMA max_page_count = {used}").fetchall()
    for _ in range(20):
        bench.put(size=3000)
    commits = len(bench.commits)

    found = bench.writer.trouble
    assert found is not None
    assert found.code == "outbox-disk-full"
    assert bench.writer.counts.unstored > 0
    assert commits < 21  # nothing is called committed that is not

    store._execute("PRAGMA max_page_count = 1000").fetchall()
    bench.later(3)

    assert bench.writer.trouble is None
    assert [seq for _, seq in bench.commits] == list(range(1, 22))
    bench.writer.close()
    assert numbers(Bench(path).send_all(), "result/a") == list(range(1, 22))


def test_what_was_acknowledged_while_the_disk_was_full_is_not_sent_again(path: Path) -> None:
    bench = Bench(path)
    bench.put()
    store = bench.writer._volume.store
    assert store is not None
    store._execute("PRAGMA query_only = ON")
    bench.put()

    assert numbers(bench.send_all(), "result/a") == [1, 2]
    assert bench.writer.trouble is not None
    bench.later(3)
    assert bench.writer.trouble is None
    bench.writer.close()

    assert Bench(path).send_all() == []


def test_what_was_sent_makes_the_room_that_a_filled_disk_does_not_have(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(path)
    for _ in range(100):
        bench.put("event/a", 0, size=3000)
    others_take_the_disk(bench, monkeypatch, left_pages=0)
    bench.put("telemetry", 2, size=3000)
    assert bench.writer.trouble is not None
    assert bench.writer.trouble.code == "outbox-disk-full"
    assert len(bench.send(100)) == 100
    bench.later(3)

    assert bench.writer.trouble is None
    assert bench.commits[-1] == ("telemetry", 1)
    assert bench.writer.losses.by_stream == {}


def test_a_disk_with_room_for_some_takes_some_and_the_rest_waits_in_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(path)
    bench.put("event/a", 0, size=3000)
    others_take_the_disk(bench, monkeypatch, left_pages=0)
    for _ in range(200):
        bench.put("telemetry", 2, size=3000)
    others_take_the_disk(bench, monkeypatch, left_pages=100)
    bench.later(3)

    assert 1 < len(bench.commits) < 201
    assert len(bench.commits) + len(bench.writer._memory) == 201
    assert bench.writer.losses.by_stream == {}
    assert numbers(bench.send_all(), "telemetry") == list(range(1, 201))


def test_memory_is_bounded_and_what_goes_is_declared(path: Path) -> None:
    bench = Bench(path)
    bench.put()
    store = bench.writer._volume.store
    assert store is not None
    store._execute("PRAGMA query_only = ON")
    for _ in range(400):
        bench.put("telemetry", 2, size=30_000)
    bench.put("event/a", 0)

    assert len(bench.writer._memory) < 150
    assert bench.writer.losses.by_stream["telemetry"] > 200
    rows = bench.send_all()
    assert numbers(rows, "event/a") == [1]
    assert numbers(rows, "telemetry")[-1] == 400
    assert bench.writer.pending == 0


def test_a_folder_that_cannot_be_made_is_no_end(tmp_path: Path) -> None:
    blocked = tmp_path / "state"
    blocked.write_text("a file where a folder should be")

    bench = Bench(blocked / "outbox.sqlite3")
    bench.put()

    assert bench.writer.trouble is not None
    assert len(bench.send_all()) == 1
    bench.put()
    blocked.unlink()
    bench.later(3)
    assert bench.writer.trouble is None
    assert [seq for _, seq in bench.commits] == [bench.writer.number("result/a")]


def test_a_queue_that_could_not_be_read_at_the_start_joins_later(path: Path) -> None:
    first = Bench(path)
    for _ in range(3):
        first.put()
    first.writer.close()
    hidden = path.with_name("hidden")
    path.rename(hidden)
    path.mkdir()
    bench = Bench(path)
    bench.put()
    path.rmdir()
    hidden.rename(path)

    bench.later(3)
    rows = bench.send_all()

    assert bench.writer.trouble is None
    assert sorted(numbers(rows, "result/a"))[:3] == [1, 2, 3]
    assert len(rows) == 4
    assert bench.writer.pending == 0


def test_the_table_is_autoincrement_and_the_journal_is_a_wal(path: Path) -> None:
    bench = Bench(path)
    bench.put()
    bench.writer.close()

    with contextlib.closing(sqlite3.connect(path)) as connection:
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'queue1'").fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()

    assert "PRIMARY KEY AUTOINCREMENT" in sql
    assert mode == "wal"
