"""What lines and records hold, from their bytes alone."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.serial.binary import Frames, read_frames
from edgectl.serial.heard import Heard, Setting
from edgectl.serial.judge import judge
from edgectl.serial.text import Lines, Part, read_lines
from edged.sources.framing import ByteOrder, CrcName
from fakes.serialline import checked, cobs, record

SECONDS = 1.0
RATE = 100


def lines(make: Callable[[int], str], count: int = RATE) -> Lines:
    told = read_lines(b"rest\n" + "".join(make(at) + "\r\n" for at in range(count)).encode(), SECONDS)
    assert told is not None
    return told


def uses(told: Lines | Frames) -> list[tuple[str, str]]:
    return [(part.name, part.use) for part in told.parts]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
def test_the_character_between_numbers_is_found(delimiter: str) -> None:
    told = lines(lambda at: delimiter.join(f"{math.sin(at + k):.2f}" for k in range(3)))
    assert (told.format, told.delimiter, len(told.parts)) == ("csv", delimiter, 3)
    assert told.share == pytest.approx(1.0)


def test_one_number_a_line_is_one_column() -> None:
    assert uses(lines(lambda at: str(400 + at * at % 50))) == [("c1", "channel")]


def test_a_line_of_names_names_the_columns() -> None:
    told = lines(lambda at: "temp,pressure" if at % 50 == 7 else f"{20 + at % 3},{1013.2 - at % 2}")
    assert uses(told) == [("temp", "channel"), ("pressure", "channel")]


def test_a_label_in_front_of_a_number_names_it_and_is_no_channel() -> None:
    told = lines(lambda at: f"temp: {20 + at % 3} hum: {40 + at % 5}")
    assert uses(told) == [("c1", "label"), ("temp", "channel"), ("c3", "label"), ("hum", "channel")]


@pytest.mark.parametrize(("unit", "scale"), [(1.0, 1.0), (1e3, 1e-3), (1e6, 1e-6)])
def test_a_clock_in_any_unit_is_told_by_how_fast_it_runs(unit: float, scale: float) -> None:
    told = lines(lambda at: f"{12 * unit + at * unit / RATE:.3f},{at % 7}")
    assert told.parts == (Part("c1", "time", scale), Part("c2", "channel"))


def test_a_number_that_counts_lines_is_neither_clock_nor_channel() -> None:
    assert uses(lines(lambda at: f"{at},{at % 7}")) == [("c1", "counter"), ("c2", "channel")]


def test_what_only_grows_is_no_clock() -> None:
    assert uses(lines(lambda at: f"{at * at},{at % 7}")) == [("c1", "channel"), ("c2", "channel")]


def test_of_a_line_that_holds_nothing_but_a_counter_the_counter_is_read() -> None:
    assert uses(lines(str)) == [("c1", "channel")]


def test_numbers_in_documents_are_named_by_their_paths() -> None:
    told = lines(lambda at: f'{{"at":{at / RATE},"acc":{{"x":{at % 5}}},"raw":[1,{at % 3}],"ok":true,"id":"a"}}')
    wanted = [("at", "time"), ("acc.x", "channel"), ("raw[0]", "channel"), ("raw[1]", "channel")]
    assert (told.format, uses(told)) == ("jsonl", wanted)


@pytest.mark.parametrize(
    "text",
    ["$GPGGA,123519,4807.038,N\n$GPRMC,1,A\n" * 20, "it is 20 degrees in here\n" * 30, "\n" * 30, "x=1,y=2\n" * 30],
)
def test_what_no_format_reads_is_none(text: str) -> None:
    assert read_lines(text.encode(), SECONDS) is None


def test_damage_here_and_there_does_not_hide_a_format() -> None:
    told = lines(lambda at: "1.0,\x00\x07" if at % 20 == 3 else f"{at % 7},{at % 3}")
    assert uses(told) == [("c1", "channel"), ("c2", "channel")]
    assert told.share < 1


def numbers(at: int) -> bytes:
    return struct.pack("<hhh", round(8000 * math.sin(at / 9)), round(3000 * math.cos(at / 5)), at * at % 97)


def frames(data: bytes) -> Frames:
    told = read_frames(data, SECONDS)
    assert told is not None
    return told


CRC_NAMES: tuple[CrcName, ...] = ("crc16-ccitt", "crc16-xmodem", "crc32")
ORDERS: tuple[ByteOrder, ...] = ("little", "big")


@pytest.mark.parametrize(("crc", "order", "sync"), [*product(CRC_NAMES, ORDERS, [b"\xaa\x55", b"\x7e", b""])])
def test_records_are_found_with_their_sync_word_and_checksum(crc: CrcName, order: ByteOrder, sync: bytes) -> None:
    told = frames(b"\x12\x34" + b"".join(record(numbers(at), sync=sync, crc=crc, order=order) for at in range(RATE)))
    assert (told.framing, told.crc, told.order, told.sync, told.length) == ("records", crc, order, sync, "u8")
    assert told.share > 0.95


@pytest.mark.parametrize("crc", CRC_NAMES)
def test_records_without_a_length_are_as_long_as_their_sync_words_lie_apart(crc: CrcName) -> None:
    told = frames(b"".join(b"\xa5\x5a" + checked(numbers(at), crc, "little") for at in range(RATE)))
    assert (told.length, told.crc, told.sync, told.types) == ("none", crc, b"\xa5\x5a", ("i16", "i16", "i16"))


@pytest.mark.parametrize(("crc", "order"), [*product(CRC_NAMES, ORDERS)])
def test_cobs_is_found_with_its_checksum(crc: CrcName, order: ByteOrder) -> None:
    told = frames(b"".join(cobs(numbers(at), crc, order) for at in range(RATE)))
    assert (told.framing, told.crc, told.order) == ("cobs", crc, order)


@pytest.mark.parametrize(
    ("layout", "types", "named"),
    [
        ("<hhh", ("i16", "i16", "i16"), ["c1", "c2", "c3"]),
        (">hhh", ("i16", "i16", "i16"), ["c1", "c2", "c3"]),
        ("<fff", ("f32", "f32", "f32"), ["c1", "c2", "c3"]),
        ("<ddd", ("f64", "f64", "f64"), ["c1", "c2", "c3"]),
        ("<iii", ("i32", "i32", "i32"), ["c1", "c2", "c3"]),
        ("<BBB", ("u8", "u8", "u8"), ["c1", "c2", "c3"]),
        ("<Ihhh", ("u32", "i16", "i16", "i16"), ["t", "c1", "c2", "c3"]),
        ("<Bfff", ("u8", "f32", "f32", "f32"), ["n", "c1", "c2", "c3"]),
    ],
)
def test_the_fields_of_a_smooth_signal_are_guessed(layout: str, types: tuple[str, ...], named: list[str]) -> None:
    order: ByteOrder = "big" if layout[0] == ">" else "little"
    big = {"h": 8000, "i": 2_000_000, "B": 100}.get(layout[-1], 1.5)
    shift = 120 if layout[-1] == "B" else 0

    def payload(at: int) -> bytes:
        channels = [big * math.sin(at / (9 + 4 * k) + k) + shift for k in range(3)]
        whole = channels if layout[-1] in "fd" else [round(one) for one in channels]
        head = {"I": [at * 10 + 5000], "B": [at % 256]}.get(layout[1], []) if len(layout) > 4 else []
        return struct.pack(layout, *head, *whole)

    told = frames(b"".join(record(payload(at), sync=b"\xaa\x55", order=order) for at in range(RATE)))
    assert told.types == types
    assert [part.name for part in told.parts] == named
    assert told.parts[0].use == {"t": "time", "n": "counter", "c1": "channel"}[named[0]]


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_hold_no_records(seed: int) -> None:
    assert read_frames(np.random.default_rng(seed).bytes(3000), SECONDS) is None


@given(st.binary(max_size=400) | st.text('0123456789.,;-+e{}[]:"xn \r\n', max_size=200).map(str.encode))
def test_whatever_comes_is_judged(data: bytes) -> None:
    found = judge(Heard(Setting(9600), data * 3, 0.5, 0.5, len(data) // 2))
    assert 0 <= found.score <= 1
    assert (found.form is None) == (found.kind not in {"lines", "frames"})


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":' + b"9" * 400 + b',"b":1}\n',
        b"[" * 200 + b"1" + b"]" * 200 + b"\n",
        b"1e400,2\n",
        b'{"\\u001b[2J":1}\n',
        b" \n",
    ],
)
def test_what_no_sensor_means_is_no_channel(line: bytes) -> None:
    told = read_lines(b"x\n" + line * 12, SECONDS)
    assert told is None or [part.name for part in told.parts] in (["b"], ["c1", "c2"])
