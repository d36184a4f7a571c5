from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.framing import CRCS, CobsFramer, CrcName, Framer, LineFramer, RecordFramer, cobs_decoded
from fakes.serialline import cobs, record, stuffed

SYNC = b"\xaa\x55"
SIZES = range(4, 17, 4)


def lines() -> Framer:
    return LineFramer(64)


def cobs_frames() -> Framer:
    return CobsFramer(SIZES)


def records() -> Framer:
    return RecordFramer(SIZES)


def synced_records() -> Framer:
    return RecordFramer(SIZES, sync=SYNC, crc="crc32")


FRAMERS = [lines, cobs_frames, records, synced_records]


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    for a, b in pairwise(places):
        yield data[a:b]


def payloads(framer: Framer, *parts: bytes) -> list[bytes]:
    return [found.payload for part in parts for found in framer.feed(part) if found.payload is not None]


def sizes(framer: Framer, *parts: bytes) -> tuple[int, int]:
    """Give the bytes that belonged to frames, and those that did not."""
    found = [one for part in parts for one in framer.feed(part)]
    return sum(f.size for f in found if f.payload is not None), sum(f.size for f in found if f.payload is None)


@pytest.mark.parametrize(("name", "check"), [("crc16-ccitt", 0x29B1), ("crc16-xmodem", 0x31C3), ("crc32", 0xCBF43926)])
def test_checksums_are_those_of_the_catalogue(name: CrcName, check: int) -> None:
    assert CRCS[name].compute(b"123456789") == check


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\n\n"])
def test_a_line_ends_in_line_feed_or_carriage_return_or_both(end: bytes) -> None:
    assert payloads(lines(), end.join([b"", b"1,2", b"3,4", b""])) == [b"1,2", b"3,4"]


def test_the_rest_of_a_line_that_began_before_the_port_was_opened_is_no_line() -> None:
    assert payloads(lines(), b"3,4\n", b"123,4\n") == [b"123,4"]


def test_a_line_split_over_reads_is_one_line() -> None:
    assert payloads(lines(), b"\n1", b"2,", b"3", b"\n") == [b"12,3"]


def test_noise_without_a_line_end_is_garbage_and_costs_no_more_than_the_line_that_follows_it() -> None:
    framer = lines()

    good, bad = sizes(framer, b"\n" + b"\xff" * 70, b"\xff" * 10, b"1,2\n")

    assert (good, bad) == (0, 70)
    assert payloads(framer, b"3,4\n") == [b"3,4"]


def test_a_line_that_is_too_long_in_one_piece_is_garbage() -> None:
    assert sizes(lines(), b"\n" + b"x" * 65 + b"\n1,2\n") == (4, 66)


@pytest.mark.parametrize(
    "coded", [b"\x02", b"\x03a", b"\x00", b"\xff" + b"x" * 253, b"\x01\x00\x01"], ids=lambda coded: coded[:3].hex()
)
def test_what_is_no_cobs_is_refused(coded: bytes) -> None:
    assert cobs_decoded(coded) is None


@given(st.binary(max_size=600))
def test_cobs_undoes_what_a_sensor_did(data: bytes) -> None:
    assert cobs_decoded(stuffed(data)) == data


@pytest.mark.parametrize("size", [253, 254, 255, 508, 509])
def test_cobs_holds_blocks_without_a_zero_of_any_length(size: int) -> None:
    data = b"x" * size

    assert cobs_decoded(stuffed(data)) == data
    assert cobs_decoded(stuffed(data + b"\0")) == data + b"\0"


def test_a_cobs_frame_of_another_size_or_checksum_is_garbage() -> None:
    framer = CobsFramer(SIZES)
    damaged = bytearray(cobs(b"abcd"))
    damaged[2] ^= 1

    assert payloads(framer, b"\0", cobs(b"abc"), bytes(damaged), b"\x02\x07\0", cobs(b"abcd")) == [b"abcd"]


def test_cobs_alone_frames_without_a_checksum() -> None:
    assert payloads(CobsFramer(SIZES, "none"), b"\0", cobs(b"abcd", "none"), cobs(b"abc", "none")) == [b"abcd"]


def test_records_have_their_checksum_in_their_own_byte_order() -> None:
    framer = RecordFramer(SIZES, length="u8", order="big")

    assert payloads(framer, record(b"abcd", order="big")) == [b"abcd"]
    assert payloads(framer, record(b"abcd", order="little"), b"\0" * 20) == []


def test_records_of_one_fixed_size_need_no_length() -> None:
    framer = RecordFramer(range(4, 5, 4), sync=SYNC, length="none")
    good = record(b"abcd", sync=SYNC)
    without_length = SYNC + b"abcd" + CRCS["crc16-ccitt"].compute(b"abcd").to_bytes(2, "little")

    assert payloads(framer, good, without_length, without_length) == [b"abcd", b"abcd"]


def test_records_may_carry_a_length_of_two_bytes() -> None:
    body = (4).to_bytes(2, "big") + b"abcd"
    frame = body + CRCS["crc32"].compute(body).to_bytes(4, "big")

    assert payloads(RecordFramer(SIZES, length="u16", crc="crc32", order="big"), frame) == [b"abcd"]


def test_half_a_sync_word_at_the_end_of_a_read_is_kept() -> None:
    frame = record(b"abcd", sync=SYNC, crc="crc32")

    assert payloads(synced_records(), b"noise" + frame[:1], frame[1:]) == [b"abcd"]


def test_garbage_between_records_is_counted_by_the_byte() -> None:
    frame = record(b"abcd", sync=SYNC, crc="crc32")

    assert sizes(synced_records(), b"xyz", frame, b"\xaaq", frame) == (2 * len(frame), 5)


@pytest.mark.parametrize("make", FRAMERS)
@given(data=st.data())
def test_any_bytes_in_any_pieces_raise_nothing_and_every_byte_is_told_at_most_once(
    make: Callable[[], Framer], data: st.DataObject
) -> None:
    noise = data.draw(st.binary(max_size=300))
    cuts = data.draw(st.lists(st.integers(0, 300), max_size=8))
    framer = make()

    good, bad = sizes(framer, *pieces(noise, cuts))

    assert good + bad <= len(noise)
    assert "\n" not in repr(framer)


@pytest.mark.parametrize("make", FRAMERS)
@given(data=st.data())
def test_every_good_frame_behind_garbage_is_found(make: Callable[[], Framer], data: st.DataObject) -> None:
    garbage = data.draw(st.binary(max_size=100))
    cuts = data.draw(st.lists(st.integers(0, 300), max_size=8))
    bodies = data.draw(st.lists(st.sampled_from([b"abcd", b"12345678", b"\0\xaa\x55\0"]), min_size=1, max_size=5))
    if make is lines:
        bodies = [body.replace(b"\0", b"0") for body in bodies]
    # What garbage announces is waited for: the longest record ends what any garbage may have begun.
    stream = garbage + END[make] + b"".join(ENCODE[make](body) for body in bodies) + b"\xff" * 30

    found = payloads(make(), *pieces(stream, cuts))

    assert found[-len(bodies) :] == bodies


END = {lines: b"\n\n", cobs_frames: b"\0\0", records: b"", synced_records: b""}
ENCODE: dict[Callable[[], Framer], Callable[[bytes], bytes]] = {
    lines: lambda body: body + b"\n",
    cobs_frames: cobs,
    records: record,
    synced_records: lambda body: record(body, sync=SYNC, crc="crc32"),
}


@pytest.mark.parametrize("make", FRAMERS)
@given(data=st.data())
def test_how_a_stream_is_cut_into_reads_changes_no_frame(make: Callable[[], Framer], data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.one_of(st.binary(max_size=20), st.just(ENCODE[make](b"abcd"))), max_size=10))
    cuts = data.draw(st.lists(st.integers(0, 300), max_size=8))
    stream = b"".join(parts)
    if make is lines:
        stream = stream[:60]  # where a line is too long depends on what is there at once

    assert payloads(make(), *pieces(stream, cuts)) == payloads(make(), stream)
