from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.coverage import CAUSES, MINUTE_MS, ROW_BYTES, Minute, rounded_ms, total

PARTS = st.lists(st.integers(0, 7_500), min_size=len(CAUSES) + 1, max_size=len(CAUSES) + 1)
MINUTES = st.builds(lambda number, parts: Minute(number, parts[0], tuple(parts[1:])), st.integers(0, 2**32 - 1), PARTS)


@given(MINUTES)
def test_a_row_comes_back_from_its_bytes(minute: Minute) -> None:
    assert Minute.from_bytes(minute.to_bytes(), minute.number) == minute


@given(MINUTES, st.integers(0, ROW_BYTES - 1), st.integers(1, 255))
def test_a_damaged_row_says_nothing(minute: Minute, at: int, flip: int) -> None:
    row = bytearray(minute.to_bytes())
    row[at] ^= flip
    assert Minute.from_bytes(bytes(row), minute.number).down_ms == MINUTE_MS


def test_another_minutes_row_and_a_hole_say_nothing() -> None:
    row = Minute(7, 60_000, (0,) * 6).to_bytes()
    assert Minute.from_bytes(row, 8) == Minute.unknown(8)
    assert Minute.from_bytes(bytes(ROW_BYTES), 8) == Minute.unknown(8)
    assert Minute.from_bytes(b"", 8) == Minute.unknown(8)


def test_a_row_of_more_than_a_minute_says_nothing_however_whole_it_is() -> None:
    body = struct.pack("<I8H", 7, 60_001, *[0] * 7)
    assert Minute.from_bytes(body + struct.pack("<I", zlib.crc32(body)), 7) == Minute.unknown(7)


def test_more_than_a_minute_is_none() -> None:
    with pytest.raises(ValueError, match="expected 60 s at most"):
        Minute(0, 60_000, (1, 0, 0, 0, 0, 0))


@given(st.lists(MINUTES, max_size=20))
def test_a_sum_leaves_no_second_out(minutes: list[Minute]) -> None:
    found = total(minutes)
    assert found.seen + sum(found.blind) + found.down == pytest.approx(60 * len(minutes))


@given(st.lists(st.floats(0, 9_000), max_size=7))
def test_rounding_keeps_the_sum(parts: list[float]) -> None:
    assert abs(sum(rounded_ms(parts)) - sum(parts)) <= 0.5 + 1e-6


def test_causes_without_time_are_not_told() -> None:
    assert total([Minute(0, 50_000, (0, 10_000, 0, 0, 0, 0))]).told() == {
        "seen_s": 50.0,
        "blind_s": {"engine": 10.0},
        "down_s": 0.0,
    }


@given(MINUTES)
def test_of_a_minute_that_goes_on_only_what_is_known_counts(minute: Minute) -> None:
    known, whole = total([minute.so_far]), total([minute])
    assert (known.seen, known.blind, known.down) == (whole.seen, whole.blind, 0.0)
    assert minute.so_far.length_ms == MINUTE_MS - minute.down_ms
