from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.history import (
    MAX_COLUMNS,
    MAX_ROWS,
    Block,
    Table,
    digits_of,
    packed,
    read_head,
    unpacked,
)

BOOT = "6c1c9e0e-0000-4000-8000-000000000001"
NAMES = ('edged_frames_total{pipeline="gate"}', 'edged_temperature_celsius{sensor="cpu"}', "edged_frame_p95_seconds")
TABLE = Table.of(NAMES)


def block(
    values: Sequence[Sequence[float]], columns: Sequence[str] = NAMES, walls_ms: Sequence[int] | None = None
) -> Block:
    rows = len(values)
    walls = np.array(walls_ms if walls_ms is not None else 1_800_000_000_000 + 1000 * np.arange(rows), np.int64)
    return Block(
        BOOT, True, tuple(columns), walls, 1000 * np.arange(rows), np.array(values, float).reshape(rows, len(columns))
    )


FIGURES = st.one_of(st.just(float("nan")), st.floats(-1e9, 1e9), st.integers(-(2**40), 2**40).map(float))
ROWS = st.lists(st.tuples(FIGURES, FIGURES, FIGURES), min_size=1, max_size=30)


@given(ROWS)
def test_figures_come_back_to_the_step_of_their_unit(rows: list[tuple[float, float, float]]) -> None:
    made = block(rows)
    back = unpacked(packed(made), TABLE)
    for number, name in enumerate(NAMES):
        step = 10.0 ** -digits_of(name)
        close = np.isclose(
            back.values[:, number], made.values[:, number], rtol=1e-15, atol=step / 2 * 1.001, equal_nan=True
        )
        assert close.all()


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20))
def test_times_come_back_whatever_the_clock_did(walls_ms: list[int]) -> None:
    back = unpacked(packed(block([(1.0, 2.0, 3.0)] * len(walls_ms), walls_ms=walls_ms)), TABLE)
    assert back.walls_ms.tolist() == walls_ms
    assert back.boot == BOOT


def test_what_is_no_figure_is_a_hole() -> None:
    back = unpacked(packed(block([(float("inf"), float("nan"), -float("inf")), (1e300, 1.0, 1.0)])), TABLE)
    assert np.isnan(back.values).tolist() == [[True, True, True], [True, False, False]]


def test_a_block_is_read_with_the_places_that_it_was_written_with() -> None:
    other = Table(NAMES, (1, 1, 6))
    assert unpacked(packed(block([(10.0, 2.0, 3.0)])), other).values.tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize("line", ["edged_load", "x edged_load", "0", ""])
def test_a_table_without_places_is_none(line: str) -> None:
    with pytest.raises(ValueError, match="cannot read a table"):
        Table.from_bytes(zlib.compress(f"0 a\n{line}".encode()))


def test_wanted_columns_are_read_alone() -> None:
    made = packed(block([(1.0, 50.0, 0.02), (2.0, 51.0, 0.03)]))
    back = unpacked(made, TABLE, [2, 0])
    assert back.columns == (NAMES[2], NAMES[0])
    assert back.values.tolist() == [[0.02, 1.0], [0.03, 2.0]]
    assert unpacked(made, TABLE, []).values.shape == (2, 0)


def test_a_head_is_read_without_the_block() -> None:
    head = read_head(packed(block([(1.0, 2.0, 3.0)] * 4)))
    assert (head.boot, head.wall_ms, head.mono_ms, head.is_synced) == (BOOT, 1_800_000_000_000, 0, True)
    assert (head.rows, head.columns, head.table) == (4, 3, zlib.crc32(TABLE.to_bytes()))


@pytest.mark.parametrize("names", [(), NAMES, ('a{b="ü"}',)])
def test_a_table_comes_back(names: tuple[str, ...]) -> None:
    assert Table.from_bytes(Table.of(names).to_bytes()) == Table.of(names)


@pytest.mark.parametrize(
    "content", [b"", b"x", packed(block([(1.0, 2.0, 3.0)]))[:70], packed(block([(1.0, 2.0, 3.0)]))[:-30] + b"\0" * 30]
)
def test_what_is_no_block_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"cannot|reshape"):
        unpacked(content, TABLE)


def test_a_block_is_not_read_by_other_names() -> None:
    with pytest.raises(ValueError, match="3 columns with 1 names"):
        unpacked(packed(block([(1.0, 2.0, 3.0)])), Table.of(("edged_load",)))


def test_a_record_that_unpacks_to_more_than_it_may_is_refused() -> None:
    bomb = packed(block([(1.0, 2.0, 3.0)]))
    head = bomb[: len(bomb) - len(zlib.compress(b""))]
    with pytest.raises(ValueError, match=r"cannot|reshape"):
        unpacked(head[:62] + zlib.compress(b"\0" * 10_000_000), TABLE)
    with pytest.raises(ValueError, match="cannot read a table"):
        Table.from_bytes(zlib.compress(b"0 a\n" * (MAX_COLUMNS + 1)))


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (MAX_ROWS + 1, 3), (1, MAX_COLUMNS + 1)])
def test_a_head_of_no_or_too_many_figures_is_refused(rows: int, columns: int) -> None:
    content = bytearray(packed(block([(1.0, 2.0, 3.0)])))
    struct.pack_into("<HH", content, 53, rows, columns)
    with pytest.raises(ValueError, match=f"cannot read a block of {rows} rows and {columns} columns"):
        read_head(bytes(content))


@pytest.mark.parametrize("rows", [0, MAX_ROWS + 1])
def test_a_block_of_no_or_too_many_rows_is_refused(rows: int) -> None:
    with pytest.raises(ValueError, match="cannot build a block"):
        block([(1.0, 2.0, 3.0)] * rows)


def test_a_usual_minute_of_eight_pipelines_fits_a_day_into_the_ring() -> None:
    random = np.random.default_rng(1)
    columns = [
        f'edged_{name}{{pipeline="p{pipe}"}}'
        for pipe in range(8)
        for name in ("a_total", "b_seconds_sum", "c_p95_seconds", *(f"quiet{n}" for n in range(30)))
    ]
    values = np.ones((60, len(columns)))
    for number, name in enumerate(columns):
        noise = random.integers(8, 13, 60) if "_total" in name else random.normal(0.1, 0.02, 60)
        if "quiet" not in name:
            values[:, number] = np.cumsum(noise) if "p95" not in name else noise
    assert 1440 * len(packed(block(values.tolist(), columns))) < 10_000_000


@pytest.mark.parametrize("name", ["\x1b[31mred", "bell\x07", "c1\x9b", "x" * 1001])
def test_a_name_that_would_play_tricks_on_a_terminal_is_none_of_ours(name: str) -> None:
    with pytest.raises(ValueError, match="cannot read a table of 1 columns"):
        Table.from_bytes(Table((name,), (0,)).to_bytes())
