from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import ConfigError
from edged.sources.layout import (
    Column,
    Wanted,
    document_decoder,
    in_order,
    line_decoder,
    parsed,
    record_decoder,
    wraps_after_s,
)

FIELDS = (Column("t", "u32", 1e-3), Column("x", "i16", 0.5, 10), Column("y", "f32"), Column("spare", "u8"))


def test_a_record_gives_its_time_and_the_channels_in_the_models_order() -> None:
    decode = record_decoder(FIELDS, "little", Wanted(("y", "x"), "t"))
    payload = struct.pack("<IhfB", 1500, -4, 2.5, 9) + struct.pack("<IhfB", 1510, 2, 3.5, 9)

    rows = decode(payload)

    assert rows is not None
    assert rows.tolist() == [[1.5, 2.5, 8.0], [1.51, 3.5, 11.0]]


def test_records_may_have_the_high_byte_first() -> None:
    rows = record_decoder((Column("x", "u16"),), "big", Wanted(("x",)))(b"\x01\x02")

    assert rows is not None
    assert rows.tolist() == [[0.0, 258.0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308])
def test_a_record_with_a_number_that_is_none_is_no_sample(value: float) -> None:
    decode = record_decoder((Column("x", "f64", 10),), "little", Wanted(("x",)))

    assert decode(struct.pack("<d", value)) is None


@pytest.mark.parametrize(
    ("delimiter", "line"),
    [(",", b"1, 2.5,-3e2"), (" ", b"  1 2.5\t-3e2 "), ("\t", b"1\t2.5\t-3e2"), (";", b"1;2.5;-3e2")],
)
def test_a_line_gives_its_numbers(delimiter: str, line: bytes) -> None:
    wanted = Wanted(("x", "y"), "t")

    rows = line_decoder(in_order(wanted), delimiter, wanted)(line)

    assert rows is not None
    assert rows.tolist() == [[1.0, 2.5, -300.0]]


def test_a_lines_numbers_are_scaled() -> None:
    wanted = Wanted(("x",), "t")
    rows = line_decoder((Column("x", scale=2, offset=1), Column("t", scale=1e-3)), ",", wanted)(b"5,1500")

    assert rows is not None
    assert rows.tolist() == [[1.5, 11.0]]


@pytest.mark.parametrize(
    "line", [b"1,2", b"1,2,3,4", b"1,x,3", b"1,,3", b"nan,1,2", b"1,1e39,2", b"\xff,1,2", b"1,2,inf"]
)
def test_a_line_with_anything_else_is_no_sample(line: bytes) -> None:
    wanted = Wanted(("x", "y", "z"))

    assert line_decoder(in_order(wanted), ",", wanted)(line) is None


def test_a_time_that_is_a_channel_too_stands_once_on_the_line() -> None:
    assert in_order(Wanted(("t", "x"), "t")) == (Column("t"), Column("x"))


def test_a_document_gives_the_numbers_at_its_paths() -> None:
    wanted = Wanted(("acc[0]", "acc[1]"), "at")
    decode = document_decoder((Column("acc[0]", scale=2), Column("acc[1]", offset=1), Column("at")), wanted)

    rows = decode(b'{"at": 7, "acc": [1, 2.5], "more": "x"}')

    assert rows is not None
    assert rows.tolist() == [[7.0, 2.0, 3.5]]


HOSTILE = [
    b"",
    b"{",
    b"[" * 5000,
    b'{"x": NaN}',
    b'{"x": 1e999}',
    b'{"x": ' + b"9" * 5000 + b"}",
    b'{"x": "1"}',
    b'{"x": true}',
    b'{"x": null}',
    b"[1]",
    b"\xff\xfe",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_document_with_anything_else_is_no_sample(text: bytes) -> None:
    wanted = Wanted(("x",))

    assert document_decoder(in_order(wanted), wanted)(text) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_sample_or_none(data: bytes) -> None:
    wanted = Wanted(("x", "y"))

    line_decoder(in_order(wanted), ",", wanted)(data)
    document_decoder(in_order(wanted), wanted)(data)
    record_decoder((Column("x", "f32", 1e300), Column("y", "u64")), "big", wanted)(data[: len(data) // 12 * 12])


def test_what_is_json_is_read_as_json() -> None:
    document = {"a": [1, 2.5, None, {"b": "\u00e4"}], "c": True}

    assert parsed(json.dumps(document).encode()) == document


def test_a_column_that_no_field_carries_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="cannot find 'z', 't' in a sample: it has x, y"):
        record_decoder((Column("x"), Column("y")), "little", Wanted(("x", "z"), "t"))


@pytest.mark.parametrize(("kind", "seconds"), [("u16", 65.536), ("u8", 0.256), ("i16", None), ("f32", None)])
def test_only_an_unsigned_counter_begins_anew(kind: str, seconds: float | None) -> None:
    assert wraps_after_s((Column("x"), Column("t", kind, 1e-3)), Wanted(("x",), "t")) == seconds  # type: ignore[arg-type]
    assert wraps_after_s((Column("t", kind),), Wanted(("t",))) is None  # type: ignore[arg-type]
