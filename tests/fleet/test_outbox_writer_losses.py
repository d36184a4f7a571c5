"""What the outbox gives up when it is full or refused, and how it declares that."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from edged.fleet.losses import Gap
from edged.fleet.store import Change, Store
from fakes.writerbench import MIB, Bench, declared, numbers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


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


def test_a_gap_of_an_earlier_run_is_told_once_though_its_file_is_read_in_two_tries(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Bench(path)
    assert before.writer._volume.store is not None
    before.writer._volume.store.apply(Change(gaps=[Gap("event/a", "outbox-full", 1, 3, 3)]))
    before.writer._volume.close()
    bounds, faults = Store.bounds, [sqlite3.OperationalError("disk I/O error")]

    def fails_once(store: Store, priority: int) -> tuple[int, int, int]:
        if faults:
            raise faults.pop()
        return bounds(store, priority)

    monkeypatch.setattr(Store, "bounds", fails_once)
    bench = Bench(path)
    bench.later(3)
    rows = bench.send_all()
    bench.later(3)

    told = [gap for gap in declared(rows + bench.send_all()) if gap[-1] == "outbox-full"]
    assert told == [("event/a", 1, 3, 3, "outbox-full")]
