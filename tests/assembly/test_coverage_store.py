from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.assembly.coverage_store import DAYS, CoverageStore, day_name
from edged.telemetry.coverage import MINUTES_A_DAY, ROW_BYTES, Minute

DAY = 20_778  # 2026-11-21
FIRST = DAY * MINUTES_A_DAY


def seen(number: int, seen_ms: int = 60_000) -> Minute:
    return Minute(number, seen_ms, (0,) * 6)


def test_minutes_come_back_across_midnight_with_holes_for_what_is_not_known(tmp_path: Path) -> None:
    store = CoverageStore(tmp_path)
    for number in (FIRST - 1, FIRST, FIRST + 2):
        store.write("gate", seen(number))
    read = CoverageStore(tmp_path).read("gate", FIRST - 2, 5)
    assert [minute.seen_ms for minute in read] == [0, 60_000, 60_000, 0, 60_000]
    assert [minute.number for minute in read] == list(range(FIRST - 2, FIRST + 3))


def test_a_minute_that_is_written_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    store = CoverageStore(tmp_path)
    store.write("gate", seen(FIRST + 7, 10_000))
    store.write("gate", seen(FIRST + 7, 20_000))
    assert store.read("gate", FIRST + 7, 1) == [seen(FIRST + 7, 20_000)]


@given(st.integers(0, 3 * ROW_BYTES))
def test_a_power_cut_in_a_write_costs_no_other_minute(tmp_path_factory: pytest.TempPathFactory, kept: int) -> None:
    state = tmp_path_factory.mktemp("state")
    store = CoverageStore(state)
    for at in range(3):
        store.write("gate", seen(FIRST + at))
    (file,) = state.rglob("*.minutes")
    file.write_bytes(file.read_bytes()[:kept])
    read = store.read("gate", FIRST, 3)
    whole = kept // ROW_BYTES
    assert [minute.seen_ms for minute in read] == [60_000] * whole + [0] * (3 - whole)


def test_a_day_takes_bounded_room_and_so_do_the_days(tmp_path: Path) -> None:
    store = CoverageStore(tmp_path)
    for day in range(DAY, DAY + DAYS + 3):
        store.write("gate", seen(day * MINUTES_A_DAY + MINUTES_A_DAY - 1))
    assert store.days() == tuple(day_name(day) for day in range(DAY + 3, DAY + DAYS + 3))
    assert {file.stat().st_size for file in tmp_path.rglob("*.minutes")} == {MINUTES_A_DAY * ROW_BYTES}


def test_a_clock_that_was_wrong_once_costs_no_other_day(tmp_path: Path) -> None:
    store = CoverageStore(tmp_path)
    store.write("gate", seen(FIRST))
    store.write("gate", seen(60_000 * MINUTES_A_DAY))
    store.write("gate", seen(0))
    assert store.days() == ("1970-01-01", "2026-11-21", day_name(60_000))


def test_a_disk_that_takes_nothing_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "coverage").write_text("no folder", "utf-8")
    store = CoverageStore(tmp_path)
    store.write("gate", seen(FIRST))
    store.write("gate", seen(FIRST + 1))
    assert [record.message for record in caplog.records] == ["coverage.unkept"]
    assert store.read("gate", FIRST, 1) == [Minute.unknown(FIRST)]


def test_the_pipelines_of_a_day_are_named(tmp_path: Path) -> None:
    store = CoverageStore(tmp_path)
    store.write("gate", seen(FIRST))
    store.write("bearing", seen(FIRST))
    assert store.pipelines(DAY) == ("bearing", "gate")
    assert store.pipelines(DAY + 1) == ()
