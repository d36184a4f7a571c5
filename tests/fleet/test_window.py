from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.fleet.ready import Row
from edged.fleet.window import Window, width


def row(id_: int) -> Row:
    return Row(1, id_, "s", id_, 1, retain=False, payload=b"")


@pytest.mark.parametrize(
    ("protocol", "receive_maximum", "expected"),
    [(5, None, 64), (5, 10, 10), (5, 65535, 64), (4, None, 20), (4, 100, 20), (5, 1, 1)],
)
def test_the_width_is_the_least_of_ours_and_the_brokers(
    protocol: int, receive_maximum: int | None, expected: int
) -> None:
    assert width(protocol, receive_maximum) == expected


@given(st.lists(st.integers(1, 30)), st.integers(1, 8))
def test_never_more_than_the_width_and_every_row_is_settled_once(acks: list[int], size: int) -> None:
    window = Window(size)
    settled: list[Row] = []
    next_mid = 1
    for mid in acks:
        while window.room:
            window.sending()
            assert window.sent(next_mid, row(next_mid)) is None
            next_mid += 1
        assert len(window) <= size
        found = window.acknowledged(mid)
        if found is not None:
            settled.append(found)

    assert len({found.id for found in settled}) == len(settled)
    assert len(settled) + len(window) == next_mid - 1


def test_an_acknowledgement_that_overtakes_its_packet_id_settles_the_row() -> None:
    window = Window(2)
    window.sending()
    assert window.acknowledged(7) is None

    assert window.sent(7, row(1)) == row(1)
    assert window.room == 2


def test_a_stale_packet_id_never_settles_a_later_row() -> None:
    window = Window(2)
    assert window.acknowledged(7) is None  # a QoS 0 document's, or one of long ago
    window.sending()

    assert window.sent(7, row(1)) is None
    assert window.acknowledged(7) == row(1)
