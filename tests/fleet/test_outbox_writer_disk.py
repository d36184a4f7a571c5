"""The outbox on a disk that is full, damaged or not there, without its thread."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from fakes.clock import FakeClock
from fakes.writerbench import Bench, declared, numbers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def others_take_the_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, left_pages: int) -> None:
    """Leave the outbox's file so many pages to grow by, as statvfs tells it, until its size is taken into account anew."""
    store = bench.writer._volume.store
    assert store is not None
    filled = store._execute("PRAGMA page_count").fetchone()[0] + left_pages
    left = lambda: max(0, filled - store._execute("PRAGMA page_count").fetchone()[0])  # noqa: E731
    monkeypatch.setattr(store, "_disk_pages", left)
    bench.writer._room = 0  # the next exact look is due


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
    assert [seq for stream, seq in bench.commits if stream == "result/a"] == [bench.writer.number("result/a")]


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
    wall_ms = FakeClock().wall_ns() // 1_000_000
    assert sorted(numbers(rows, "result/a"))[3:] == [wall_ms + 1]
    assert declared(rows) == [("result/a", 4, wall_ms, 0, "numbers-skipped")]
    assert len(rows) == 5
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
