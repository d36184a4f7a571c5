"""The recordings of a box: bounded in bytes and in days; what a power cut tore is told, and goes in its turn."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edged.assembly import clip_ring
from edged.assembly.clip import read_clip
from edged.assembly.clip_file import MAX_ROWS_BYTES, ClipWriter, clip_name, is_being_written
from edged.assembly.clip_ring import Ring, recordings, written_ns
from edged.domain.errors import ConfigError, DeviceError
from edged.pipeline.preroll import Item
from fakes.clock import FakeClock

DAY_S = 86_400
SIZE = 10_000


def item(index: int = 0, size: int = SIZE) -> Item:
    row = {"index": index, "mono_ns": index, "wall_ns": index, "source_s": index / 10}
    return Item("input", index / 10, row, os.urandom(size), ".npy")


def kept(ring: Ring, why: str) -> Path:
    """Write a recording of about ``SIZE`` bytes."""
    writer = ring.begin("gate", why)
    ring.make_room(SIZE)
    writer.add(item())
    file = writer.finish({"pipeline": "gate"})
    ring.add(file)
    return file


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_the_oldest_go_when_the_bytes_are_used_up(tmp_path: Path, clock: FakeClock) -> None:
    ring = Ring(tmp_path / "r", 5 * SIZE, 7, clock)
    for number in range(12):
        kept(ring, f"event-{number}")
        clock.advance(1)
        assert sum(file.stat().st_size for file in (tmp_path / "r").iterdir()) <= 5 * SIZE + 2000
    assert [file.stem.rsplit("-", 1)[1] for file in recordings(tmp_path / "r")] == ["8", "9", "10", "11"]


def test_what_lies_there_already_counts(tmp_path: Path, clock: FakeClock) -> None:
    first = kept(Ring(tmp_path, 1 << 20, 7, clock), "first")
    clock.advance(1)
    ring = Ring(tmp_path, 2 * SIZE, 7, clock)
    second = kept(ring, "second")
    assert (first.exists(), second.exists()) == (False, True)


def test_what_is_past_its_days_goes(tmp_path: Path, clock: FakeClock) -> None:
    ring = Ring(tmp_path, 1 << 20, 7, clock)
    old = kept(ring, "old")
    clock.advance(6 * DAY_S)
    new = kept(ring, "new")
    ring.retire()
    assert old.exists()
    clock.advance(1 * DAY_S + 1)
    ring.retire()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_clock_that_nothing_has_set_costs_nothing(tmp_path: Path, clock: FakeClock) -> None:
    ring = Ring(tmp_path, 1 << 20, 7, clock)
    file = kept(ring, "old")
    clock.is_synced = False
    clock.step_wall(5000 * DAY_S)
    ring.retire()
    assert file.exists()


def test_what_was_made_before_the_clock_was_set_is_kept_as_long_as_all_else(tmp_path: Path, clock: FakeClock) -> None:
    set_ns, clock.wall, clock.is_synced = clock.wall, 60 * 10**9, False
    file = kept(Ring(tmp_path, 1 << 20, 7, clock), "after-the-power-cut")
    os.utime(file, ns=(clock.wall, clock.wall))
    clock.wall, clock.is_synced = set_ns, True
    ring = Ring(tmp_path, 1 << 20, 7, clock)
    ring.retire()
    clock.advance(6 * DAY_S)
    ring.retire()
    assert file.exists()
    clock.advance(1 * DAY_S + 1)
    ring.retire()
    assert not file.exists()


def test_one_of_a_clock_that_was_ahead_keeps_none_behind_it_from_going(tmp_path: Path, clock: FakeClock) -> None:
    ring = Ring(tmp_path, 1 << 20, 7, clock)
    clock.step_wall(1000 * DAY_S)
    kept(ring, "ahead")
    clock.step_wall(-1000 * DAY_S)
    old = kept(ring, "old")
    clock.advance(8 * DAY_S)
    ring.retire()
    assert not old.exists()


def test_a_name_tells_when(tmp_path: Path, clock: FakeClock) -> None:
    clock.wall += 123_456_789
    file = kept(Ring(tmp_path, 1 << 20, 7, clock), "bolt")
    assert file.name == "20270115T080000.123Z-gate-bolt.zip"
    assert written_ns(file) == clock.wall // 10**6 * 10**6
    assert clip_name(0, "gate", "") == "19700101T000000.000Z-gate"


def test_two_at_one_moment_have_two_names(tmp_path: Path, clock: FakeClock) -> None:
    ring = Ring(tmp_path, 1 << 20, 7, clock)
    assert kept(ring, "bolt") != kept(ring, "bolt")


@pytest.mark.parametrize("upto", [1, 100, SIZE])
def test_what_a_power_cut_tore_is_told_and_counts_and_goes(tmp_path: Path, clock: FakeClock, upto: int) -> None:
    writer = ClipWriter(tmp_path, clip_name(clock.wall, "gate", "torn"))
    writer.add(item())
    written = writer.part.read_bytes()
    writer.abandon()
    writer.part.write_bytes(written[:upto])

    assert recordings(tmp_path) == [writer.part]
    with pytest.raises(ConfigError, match="it is torn: the power went, or edged was ended"):
        read_clip(writer.part)

    clock.advance(1)
    ring = Ring(tmp_path, 1 << 20, 7, clock)
    last = kept(ring, "next")
    assert recordings(tmp_path) == [writer.part, last]
    ring.make_room(ring.max_bytes - last.stat().st_size - upto + 1)
    assert recordings(tmp_path) == [last]


def test_one_that_is_being_written_is_no_torn_one(tmp_path: Path, clock: FakeClock) -> None:
    writer = Ring(tmp_path, 1 << 20, 7, clock).begin("gate", "bolt")
    assert is_being_written(writer.part)
    assert recordings(tmp_path) == []
    writer.abandon()
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_for_others_takes_no_recording(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_ring, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(DeviceError, match=r"cannot record to .* MB are free, expected .*make room"):
        Ring(tmp_path, 1 << 20, 7, clock).begin("gate", "bolt")


def test_what_is_written_at_once_and_what_is_kept_have_the_bound_together(tmp_path: Path, clock: FakeClock) -> None:
    ring = Ring(tmp_path, 16 * SIZE, 7, clock)
    for number in range(14):
        clock.advance(1)
        kept(ring, f"event-{number}")
    writers = [ring.begin(f"pipe-{number}", "storm") for number in range(8)]
    for turn in range(20):
        for writer in writers:
            if writer.is_open and ring.is_full(writer):
                ring.add(writer.finish({"pipeline": "gate"}))
            elif writer.is_open:
                ring.make_room(SIZE // 4)
                writer.add(item(turn, SIZE // 4))
            assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= ring.max_bytes + 8 * 2000
    assert len(list(tmp_path.glob("*pipe*"))) == 8, "a storm costs none of what it recorded itself"


def test_one_that_is_being_written_ends_before_it_takes_the_last_of_the_disk(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = Ring(tmp_path, 1 << 20, 7, clock)
    writer = ring.begin("gate", "bolt")
    assert not ring.is_full(writer)
    monkeypatch.setattr(clip_ring, "LEAST_FREE_BYTES", 1 << 60)
    assert ring.is_full(writer)
    writer.abandon()


def test_in_a_folder_of_everybodys_it_is_not_everybodys_to_read(tmp_path: Path, clock: FakeClock) -> None:
    tmp_path.chmod(0o777)
    before = os.umask(0)
    try:
        file = kept(Ring(tmp_path, 1 << 20, 7, clock), "bolt")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_rows_that_wait_in_memory_are_bounded(tmp_path: Path) -> None:
    writer = ClipWriter(tmp_path, "a")
    row = bytes(MAX_ROWS_BYTES // 4)
    for number in range(5):
        assert writer.is_full == (number > 4)
        writer.add(Item("result", 0.0, {"index": number, "mono_ns": 0}, row))
    assert writer.is_full
    writer.abandon()


def test_a_finished_one_is_the_same_bytes_for_the_same_content(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        writer = ClipWriter(tmp_path, name)
        writer.add(Item("input", 0.0, {"index": 0, "mono_ns": 0}, b"window", ".npy"))
        files.append(writer.finish({"pipeline": "gate"}).read_bytes())
    assert files[0] == files[1]
