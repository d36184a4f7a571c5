from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.assembly.history_store import HistoryStore
from edged.telemetry.history import Block, Head
from edged.telemetry.ring import Limits

BOOT = "6c1c9e0e-0000-4000-8000-000000000001"
SMALL = Limits(files=4, file_bytes=900, file_rows=40)

Made = tuple[int, int, int]
"""Rows, columns, and what their figures begin at."""
BLOCKS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4), st.integers(0, 1000)), min_size=1, max_size=30)


def block(number: int, made: Made) -> Block:
    rows, columns, first = made
    names = tuple(f'edged_figure_total{{number="{at}"}}' for at in range(columns))
    values = first + np.arange(rows * columns, dtype=float).reshape(rows, columns)
    monos = 1000 * (100 * number + np.arange(rows))
    return Block(BOOT, True, names, 1_800_000_000_000 + monos, monos, values)


def everything(store: HistoryStore) -> list[Block]:
    return list(store.blocks(lambda _head: True, lambda _name: True))


def same(one: Block, other: Block) -> bool:
    return (one.columns, one.monos_ms.tolist(), one.values.tolist()) == (
        other.columns,
        other.monos_ms.tolist(),
        other.values.tolist(),
    )


@given(BLOCKS)
@settings(deadline=None)
def test_the_latest_blocks_come_back_whole_and_the_bound_holds_at_every_moment(
    tmp_path_factory: pytest.TempPathFactory, made: list[Made]
) -> None:
    store = HistoryStore(tmp_path_factory.mktemp("state"), SMALL)
    wanted = [block(number, one) for number, one in enumerate(made)]
    for one in wanted:
        assert store.append(one)
        files = store.files()
        assert len(files) <= SMALL.files
        assert sum(file.stat().st_size for file in files) <= SMALL.max_bytes
    found = everything(store)
    assert found
    assert all(map(same, wanted[len(wanted) - len(found) :], found))


@given(BLOCKS, st.integers(0, 10**6), BLOCKS)
@settings(deadline=None)
def test_a_kill_at_any_byte_gives_a_prefix_and_the_next_run_goes_on_behind_it(
    tmp_path_factory: pytest.TempPathFactory, made: list[Made], kept: int, more: list[Made]
) -> None:
    state = tmp_path_factory.mktemp("state")
    before = [block(number, one) for number, one in enumerate(made)]
    store = HistoryStore(state, SMALL)
    for one in before:
        store.append(one)
    whole = everything(store)
    newest = store.files()[-1]
    size = newest.stat().st_size
    newest.write_bytes(newest.read_bytes()[: kept % (size + 1)])
    left = everything(store)
    assert all(map(same, whole, left)), "a prefix"

    again = HistoryStore(state, SMALL)
    behind = [block(100 + number, one) for number, one in enumerate(more)]
    for one in behind:
        again.append(one)
        assert sum(file.stat().st_size for file in again.files()) <= SMALL.max_bytes
    found = everything(again)
    assert all(map(same, [*left, *behind][len(left) + len(behind) - len(found) :], found))


def test_a_daemon_that_starts_again_and_again_pushes_no_day_out(tmp_path: Path) -> None:
    for number in range(30):
        HistoryStore(tmp_path).append(block(number, (10, 3, 1)))
    assert len(HistoryStore(tmp_path).files()) == 1
    assert len(everything(HistoryStore(tmp_path))) == 30


def test_names_stand_once_a_file_and_again_when_they_change(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    sizes = []
    for number, columns in enumerate((3, 3, 4, 3)):
        store.append(block(number, (10, columns, 1)))
        sizes.append(store.files()[0].stat().st_size)
    first, second, third, fourth = np.diff(sizes, prepend=0).tolist()
    assert first > second
    assert third > second
    assert abs(fourth - second) < 10
    assert [len(one.columns) for one in everything(store)] == [3, 3, 4, 3]


def test_blocks_that_are_not_near_are_not_unpacked_and_columns_that_nobody_wants_are_left_out(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    for number in range(3):
        store.append(block(number, (5, 3, 1)))
    near: Callable[[Head], bool] = lambda head: head.mono_ms == 100_000  # noqa: E731 - a word for what is near
    (found,) = store.blocks(near, lambda name: '"1"' in name)
    assert found.monos_ms[0] == 100_000
    assert found.columns == ('edged_figure_total{number="1"}',)


def test_a_disk_that_takes_nothing_costs_the_block_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "history").write_text("in the way")
    store = HistoryStore(tmp_path)
    assert not store.append(block(0, (5, 3, 1)))
    assert not store.append(block(1, (5, 3, 1)))
    assert [record.getMessage() for record in caplog.records] == ["history.unkept"]
    (tmp_path / "history").unlink()
    assert store.append(block(2, (5, 3, 1)))
    assert len(everything(store)) == 1


def test_a_block_that_no_file_could_hold_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = HistoryStore(tmp_path, Limits(files=2, file_bytes=60, file_rows=40))
    assert not store.append(block(0, (10, 3, 1)))
    assert "a block of" in str(caplog.records[0].__dict__["fields"]["reason"])
    assert everything(store) == []


def test_strange_files_and_records_are_passed_over(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    store.append(block(0, (5, 3, 1)))
    (tmp_path / "history" / "notes.ring").write_text("no number")
    (tmp_path / "history" / "00000000.ring").write_bytes(b"no record at all")
    assert len(everything(HistoryStore(tmp_path))) == 1
    assert HistoryStore(tmp_path / "elsewhere").files() == []


@pytest.mark.parametrize("name", ["\uff17.ring", "7.ring", "x.ring", "-1.ring"])
def test_a_file_that_is_none_of_the_ring_stops_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / name).write_bytes(b"")
    store = HistoryStore(tmp_path)
    assert store.append(block(0, (3, 2, 5)))
    assert len(everything(store)) == 1
