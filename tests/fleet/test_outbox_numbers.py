"""No number is given twice, whatever a full disk and kills do, and what is passed over is declared; the outbox without its thread."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edged.fleet.store import Store
from edged.fleet.volume import KEPT, Volume
from fakes.clock import SECOND_NS, FakeClock
from fakes.writerbench import Bench, declared, numbers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite3"


def killed(bench: Bench) -> None:
    """End it as a kill does: nothing is written any more, and the file's lock is gone."""
    bench.writer._volume.close()


@pytest.mark.parametrize("is_full_later", [False, True])
def test_no_number_is_given_twice_when_it_is_killed_on_a_full_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_full_later: bool
) -> None:
    bench = Bench(path)
    bench.put()
    bench.put("event/a", 0)
    bench.send_all()
    with monkeypatch.context() as full:
        full.setattr(Store, "_disk_pages", lambda _store: 0)
        bench.writer._room = 0
        for _ in range(4):
            bench.put()
        assert numbers(bench.send_all(), "result/a") == [2, 3, 4, 5]
    assert bench.writer.trouble is not None
    killed(bench)

    if is_full_later:
        monkeypatch.setattr(Store, "_disk_pages", lambda _store: 0)
    again = Bench(path, clock=bench.clock)
    wall_ms = again.clock.wall_ns() // 1_000_000
    again.put()
    again.later(3)
    rows = again.send_all()

    assert numbers(rows, "result/a") == [wall_ms + 1]
    assert ("result/a", 2, wall_ms, 0, "numbers-skipped") in declared(rows)
    assert ("event/a", 2, wall_ms, 0, "numbers-skipped") in declared(rows)


def test_after_a_leap_numbers_go_on_without_a_gap_also_where_nothing_was_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(path)
    bench.put("event/a", 0)
    with monkeypatch.context() as full:
        full.setattr(Store, "_disk_pages", lambda _store: 0)
        bench.writer._room = 0
        bench.put("event/a", 0)
    killed(bench)
    leapt = Bench(path, clock=bench.clock)
    wall_ms = leapt.clock.wall_ns() // 1_000_000
    leapt.send_all()
    leapt.later(3)
    leapt.send_all()
    leapt.writer.close()

    later = Bench(path, clock=leapt.clock)
    later.clock.advance(3600)
    later.put("event/a", 0)
    later.put("event/new", 0)
    rows = later.send_all()

    assert (numbers(rows, "event/a"), numbers(rows, "event/new")) == ([wall_ms + 1], [wall_ms + 1])
    assert declared(rows) == []


def test_who_recovered_before_it_was_killed_goes_on_in_number(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(path)
    with monkeypatch.context() as full:
        full.setattr(Store, "_disk_pages", lambda _store: 0)
        bench.writer._room = 0
        bench.put()
    bench.later(3)
    assert bench.writer.trouble is None
    killed(bench)

    again = Bench(path)
    again.put()

    assert numbers(again.send_all(), "result/a") == [1, 2]


def filled(bench: Bench, monkeypatch: pytest.MonkeyPatch, *streams: str) -> None:
    """Put documents on a disk that others have filled, have them acknowledged, and kill it there."""
    with monkeypatch.context() as full:
        full.setattr(Store, "_disk_pages", lambda _store: 0)
        bench.writer._room = 0
        for stream in streams:
            bench.put(stream)
        bench.send_all()
    assert bench.writer.trouble is not None
    killed(bench)


def blind(path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Bench:
    """Start where the disk is so full that the file cannot even be opened, and what a kill left in the WAL cannot be read."""
    with monkeypatch.context() as full:

        def fails(_volume: Volume) -> Store:
            message = "database or disk is full"
            raise sqlite3.OperationalError(message)

        full.setattr(Volume, "_writable", fails)
        full.setattr(Volume, "read_what_is_there", lambda _volume: None)
        return Bench(path, clock=clock)


def test_no_number_is_given_twice_after_a_start_that_could_not_read_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(path)
    for stream in ("result/a", "result/b"):
        bench.put(stream)
    bench.send_all()
    filled(bench, monkeypatch, "result/a", "result/b", "result/c")
    again = blind(path, monkeypatch, bench.clock)
    wall_ms = again.clock.wall_ns() // 1_000_000
    again.put("result/a")
    again.later(3)
    for stream in ("result/b", "result/c"):
        again.put(stream)
    again.later(3)
    rows = again.send_all()

    for stream in ("result/a", "result/b", "result/c"):
        assert numbers(rows, stream) == [wall_ms + 1]
    skipped = {(stream, first, last) for stream, first, last, _, _ in declared(rows)}
    assert {("result/a", 2, wall_ms), ("result/b", 2, wall_ms), ("result/c", 1, wall_ms)} <= skipped


def test_what_two_blind_starts_leave_does_not_lie_in_one_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    killed(Bench(path, clock=clock))
    for stream in ("result/a", "result/b"):
        bench = blind(path, monkeypatch, clock)
        for _ in range(3):
            bench.put(stream)
        bench.later(3)
        assert bench.writer.trouble is None
        killed(bench)

    rows = Bench(path, clock=clock).send_all()

    assert [len(numbers(rows, stream)) for stream in ("result/a", "result/b")] == [3, 3]


@pytest.mark.parametrize("wall_s", [0.0, 1_500_000_000.0])
def test_a_clock_that_is_behind_gives_no_number_twice_either(
    path: Path, monkeypatch: pytest.MonkeyPatch, wall_s: float
) -> None:
    clock = FakeClock()
    first = Bench(path, clock=clock)
    first.put()
    filled(first, monkeypatch, "result/a")
    leapt = Bench(path, clock=clock)
    leapt.put()
    given = numbers(leapt.send_all(), "result/a")
    clock.wall = int(wall_s * SECOND_NS)
    for _ in range(3):
        clock.advance(2)
        filled(leapt, monkeypatch, "result/a", "result/a")
        given.append(leapt.writer.number("result/a"))
        leapt = Bench(path, clock=clock)
        leapt.put()
        given += numbers(leapt.send_all(), "result/a")

    assert given == sorted(set(given))


def test_a_mark_that_a_full_disk_left_empty_counts(path: Path) -> None:
    bench = Bench(path)
    bench.put()
    killed(bench)
    Path(f"{path}-unkept").write_bytes(b"")
    again = Bench(path, clock=bench.clock)
    again.put()

    assert numbers(again.send_all(), "result/a")[-1] > 1_000_000
    killed(again)
    assert Path(f"{path}-unkept").read_bytes() == KEPT


def test_a_long_writing_back_is_no_stall(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, beats = Bench(path), list[int]()
    with monkeypatch.context() as full:
        full.setattr(Store, "_disk_pages", lambda _store: 0)
        bench.writer._room = 0
        for _ in range(50):
            bench.put()
    bench.writer.beat = lambda: beats.append(len(bench.commits))
    bench.later(3)

    assert bench.writer.trouble is None
    assert beats == list(range(50))
