from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.datagram import DatagramLayout, Datagrams
from edged.sources.dating import Dater, RateDating

RATE_HZ = 100.0
SEQ = DatagramLayout((("seq", "u8"), ("channels", "u16")), channels=2, taken=(1, 0), scale=0.5)
SAMPLE = DatagramLayout((("sample", "u32"), ("samples", "u8"), ("status", "u8")), channels=1, taken=(0,), type="f32")


class Cut:
    def __init__(self, layout: DatagramLayout) -> None:
        self.dater = Dater(RateDating(RATE_HZ), has_time=False)
        self.datagrams = Datagrams(layout, self.dater, RATE_HZ)

    def take(self, *datagrams: bytes) -> tuple[list[list[float]], list[float]]:
        """Give values, and times in steps from the first."""
        self.datagrams.take(datagrams)
        dated = self.dater.dated(50.0)
        if dated is None:
            return [], []
        times_s, values = dated
        return values.tolist(), np.rint((times_s - times_s[0]) * RATE_HZ).tolist()


def frame(seq: int, *values: int, channels: int = 2) -> bytes:
    return struct.pack(f"<BH{len(values)}h", seq % 256, channels, *values)


def numbered(sample: int, *values: float, said: int | None = None) -> bytes:
    return struct.pack(f"<IBB{len(values)}f", sample % 2**32, len(values) if said is None else said, 7, *values)


def test_channels_are_taken_in_the_models_order_and_scaled() -> None:
    values, steps = Cut(SEQ).take(frame(0, 2, 4, 6, 8), frame(1, 10, 12))

    assert values == [[2, 1], [4, 3], [6, 5]]
    assert steps == [0, 1, 2]


def test_the_high_byte_may_come_first() -> None:
    layout = DatagramLayout((("seq", "u16"),), channels=1, taken=(0,), type="i32", order="big")

    assert Cut(layout).take(struct.pack(">Hi", 1, -70_000))[0] == [[-70_000]]


def test_lost_datagrams_leave_room_for_their_samples() -> None:
    cut = Cut(SEQ)

    _, steps = cut.take(frame(254, 1, 1, 1, 1), frame(1, 1, 1, 1, 1))

    assert steps == [0, 1, 6, 7]
    assert cut.dater.drops == {"lost": 2}


def test_lost_samples_are_counted_by_their_number() -> None:
    cut = Cut(SAMPLE)

    _, steps = cut.take(numbered(2**32 - 2, 1.0, 2.0), numbered(3, 1.0))

    assert steps == [0, 1, 5]
    assert cut.dater.drops == {"lost": 3}


@pytest.mark.parametrize(
    ("cut", "first", "second", "again"),
    [(SEQ, frame(5, 1, 1), frame(6, 2, 2), frame(5, 1, 1)), (SAMPLE, numbered(5, 1), numbered(6, 2), numbered(5, 1))],
)
def test_what_was_overtaken_or_comes_twice_is_left_out(
    cut: DatagramLayout, first: bytes, second: bytes, again: bytes
) -> None:
    made = Cut(cut)

    values, _ = made.take(first, second, again, second)

    assert len(values) == 2
    assert made.dater.drops == {"late": 2}


@pytest.mark.parametrize("sample", [100, 500_000, 2_000_000_000])
def test_a_sender_that_starts_anew_is_a_gap_and_no_loss(sample: int) -> None:
    cut = Cut(SAMPLE)

    _, steps = cut.take(numbered(1_000_000_000, 1), numbered(sample, 1), numbered(sample + 1, 1))

    assert steps == [0, 6, 7]
    assert cut.dater.drops == {}


@pytest.mark.parametrize(
    ("layout", "datagram"),
    [
        (SEQ, b""),
        (SEQ, frame(0)),
        (SEQ, frame(0, 1)),
        (SEQ, frame(0, 1, 2, 3)),
        (SEQ, frame(0, 1, 2, channels=3)),
        (SAMPLE, numbered(0, 1.0, said=2)),
        (SAMPLE, numbered(0, float("nan"))),
        (SAMPLE, numbered(0, 1.0, float("inf"))),
    ],
)
def test_what_does_not_fit_the_layout_is_left_out(layout: DatagramLayout, datagram: bytes) -> None:
    cut = Cut(layout)

    assert cut.take(datagram) == ([], [])
    assert cut.dater.drops == {"malformed": 1}


@pytest.mark.parametrize("layout", [SEQ, SAMPLE])
@given(parts=st.lists(st.binary(max_size=24), max_size=6))
def test_any_datagrams_raise_nothing(layout: DatagramLayout, parts: list[bytes]) -> None:
    values, _ = Cut(layout).take(*parts)

    assert np.isfinite(np.array(values)).all()
