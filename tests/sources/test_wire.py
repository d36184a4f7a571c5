from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.layout import Column, Wanted, in_order
from edged.sources.quality import LineQuality
from edged.sources.wire import Format, Framing, Reading, Wire
from fakes.serialline import cobs, record

XY = Wanted(("x", "y"))


def csv_wire(wanted: Wanted = XY) -> Wire:
    return Wire("csv", in_order(wanted), wanted)


def binary_wire(framing: Framing = "records") -> Wire:
    return Wire("binary", (Column("x", "i16"), Column("y", "i16")), XY, framing=framing)


def reading(wire: Wire, rate_hz: float | None = None) -> Reading:
    return Reading(wire, LineQuality(is_text=wire.format != "binary", budget_bytes=1000), rate_hz)


def test_samples_are_dated_by_their_rate_and_lost_lines_leave_their_place() -> None:
    dated = reading(csv_wire(), 10.0).feed(b"\n1,2\n3,4\nnoise\n5,6\n", 100.0)

    assert dated is not None
    times_s, values = dated
    assert times_s == pytest.approx([99.7, 99.8, 100.0])
    assert values.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_what_was_left_out_is_counted() -> None:
    made = reading(csv_wire())

    made.feed(b"\n1,2\nnoise\n1,2,3\n", 100.0)

    assert made.drops == {"malformed": 2}
    assert made.samples == 1
    assert made.example_of_garbage == b"1,2,3"


def test_a_time_that_stands_still_is_left_out() -> None:
    made = reading(csv_wire(Wanted(("x",), "t")))

    dated = made.feed(b"\n1.0,1\n1.1,2\n1.1,3\n1.2,4\n", 100.0)

    assert dated is not None
    assert dated[0] == pytest.approx([99.8, 99.9, 100.0])
    assert dated[1].ravel().tolist() == [1, 2, 4]
    assert made.drops == {"unordered": 1}
    assert made.feed(b"1.2,9\n", 101.0) is None


def test_nothing_whole_is_nothing() -> None:
    assert reading(csv_wire()).feed(b"\n1,", 100.0) is None


def test_a_frame_may_hold_several_samples() -> None:
    for framing, encode in (("records", record), ("cobs", cobs)):
        wire = binary_wire(framing)  # type: ignore[arg-type] # one of the two
        payload = struct.pack("<4h", 1, 2, 3, 4)

        dated = reading(wire, 100.0).feed(b"\0" + encode(payload), 10.0)

        assert dated is not None
        assert dated[1].tolist() == [[1, 2], [3, 4]]
        assert dated[0] == pytest.approx([9.99, 10.0])


def test_json_lines_give_what_their_paths_lead_to() -> None:
    wanted = Wanted(("a.x", "a.y"), "t")

    dated = reading(Wire("jsonl", in_order(wanted), wanted)).feed(b'\n{"t": 1, "a": {"x": 2, "y": 3}}\n', 10.0)

    assert dated is not None
    assert dated[1].tolist() == [[2, 3]]


def test_a_binary_counter_that_begins_anew_is_no_gap() -> None:
    wire = Wire("binary", (Column("t", "u8", 0.01), Column("x", "i8")), Wanted(("x",), "t"), framing="cobs")
    made = reading(wire)
    made.feed(b"\0" + b"".join(cobs(bytes((i, 0))) for i in range(250, 256)), 10.0)

    dated = made.feed(cobs(b"\0\0") + cobs(b"\1\0"), 10.02)

    assert dated is not None
    assert dated[0] == pytest.approx([10.01, 10.02], abs=1e-4)


def test_records_of_fixed_size_hold_one_sample() -> None:
    wire = Wire("binary", (Column("x", "i16"),), Wanted(("x",)), length="none", sync=b"\xaa")

    assert reading(wire).feed(b"\xaa" + struct.pack("<h", 7) + b"\0\0", 1.0) is None


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (csv_wire(Wanted(("x",), "t")), "lines of 2 numbers t, x"),
        (Wire("jsonl", in_order(XY), XY), "JSON lines with x, y"),
        (binary_wire(), "records of x i16, y i16"),
    ],
)
def test_a_wire_says_what_is_expected_on_it(wire: Wire, text: str) -> None:
    assert str(wire) == text


@pytest.mark.parametrize("form", ["csv", "jsonl", "binary"])
@given(parts=st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_in_any_pieces_give_sound_samples_or_nothing(form: Format, parts: list[bytes]) -> None:
    made = reading(Wire(form, (Column("x", "f32"), Column("y", "f32")), XY, framing="cobs", crc="none"), 10.0)
    last_s = 0.0
    for now_s, part in enumerate(parts, 100):
        dated = made.feed(part, float(now_s))
        if dated is not None:
            assert np.isfinite(dated[1]).all()
            assert np.diff(dated[0], prepend=last_s).min() > 0
            last_s = float(dated[0][-1])
