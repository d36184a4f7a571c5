from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.ring import DAY, MAGIC, Limits, framed, records

RECORDS = st.lists(st.tuples(st.sampled_from([b"B", b"T"]), st.binary(max_size=60)), max_size=8)


@given(RECORDS)
def test_records_come_back_in_their_order(made: list[tuple[bytes, bytes]]) -> None:
    assert list(records(b"".join(framed(*one) for one in made))) == made


@given(RECORDS, st.integers(0, 1000))
def test_what_was_cut_off_anywhere_gives_a_prefix(made: list[tuple[bytes, bytes]], cut: int) -> None:
    data = b"".join(framed(*one) for one in made)[:cut]
    assert list(records(data)) == made[: len(list(records(data)))]


@given(RECORDS, RECORDS, st.integers(1, 60))
def test_a_torn_record_costs_itself_and_none_behind_it(
    before: list[tuple[bytes, bytes]], behind: list[tuple[bytes, bytes]], kept: int
) -> None:
    torn = framed(b"B", b"x" * 60)[:kept]
    data = b"".join(framed(*one) for one in before) + torn + b"".join(framed(*one) for one in behind)
    assert list(records(data)) == before + behind


@given(RECORDS.filter(bool), st.data())
def test_a_flipped_bit_costs_one_record(made: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    whole = bytearray(b"".join(framed(*one) for one in made))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    found = list(records(bytes(whole)))
    assert len(found) == len(made) - 1
    rest = iter(made)
    assert all(one in rest for one in found), "in their order"


def test_content_that_looks_like_a_record_is_content() -> None:
    inner = framed(b"B", b"inner")
    assert list(records(framed(b"B", inner + MAGIC))) == [(b"B", inner + MAGIC)]


def test_a_day_is_kept_in_20_mb_at_most() -> None:
    assert DAY.max_bytes <= 20_000_000
    assert (DAY.files - 1) * DAY.file_rows >= 86_400


def test_a_file_takes_what_fits_in_bytes_and_rows() -> None:
    limits = Limits(files=2, file_bytes=100, file_rows=10)
    assert limits.fits(60, 5, 40, 5)
    assert not limits.fits(60, 5, 41, 5)
    assert not limits.fits(0, 5, 10, 6)


def test_the_oldest_files_go_until_there_is_room_for_one_more() -> None:
    limits = Limits(files=3, file_bytes=100, file_rows=10)
    assert limits.doomed([4, 7, 5, 6]) == [4, 5]
    assert limits.doomed([4, 5]) == []


@pytest.mark.parametrize("given_", [(1, 100, 10), (2, 5, 10), (2, 100, 0)])
def test_a_ring_that_could_hold_nothing_is_refused(given_: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="cannot build a ring"):
        Limits(*given_)
