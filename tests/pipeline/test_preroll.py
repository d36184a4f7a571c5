"""What is held of the time before an event is bounded in time and in bytes, whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.preroll import ROW_BYTES, Item, Kind, PreRoll, Span

BEFORE_S, MOST_BYTES = 2.0, 20_000


def shown(at_s: float, size: int = 100) -> Item:
    return Item("input", at_s, {}, bytes(size), ".jpg")


def test_it_holds_so_many_seconds() -> None:
    held = PreRoll(BEFORE_S, 1 << 20)
    for number in range(100):
        held.add(shown(number / 10))
    assert [item.at_s for item in held.take()] == pytest.approx([7.9 + n / 10 for n in range(21)])
    assert held.take() == []


def test_what_memory_does_not_hold_goes_first_and_is_told() -> None:
    held = PreRoll(BEFORE_S, 10 * (ROW_BYTES + 100))
    for number in range(15):
        held.add(shown(number / 10))
    assert held.is_short
    assert [item.at_s for item in held.take()] == pytest.approx([n / 10 for n in range(5, 15)])


def test_a_source_that_began_anew_leaves_nothing_of_before() -> None:
    held = PreRoll(BEFORE_S, 1 << 20)
    held.add(shown(100.0))
    held.add(shown(0.0))
    assert [item.at_s for item in held.take()] == [0.0]


def test_a_result_that_comes_late_is_held_with_its_input() -> None:
    held = PreRoll(BEFORE_S, 1 << 20)
    held.add(shown(1.0))
    held.add(shown(1.1))
    held.add(Item("result", 1.0, {}))
    assert [item.kind for item in held.take()] == ["input", "input", "result"]


@given(
    st.lists(
        st.tuples(st.sampled_from(("input", "result", "event", "reading")), st.floats(0, 50), st.integers(0, 30_000)),
        max_size=60,
    )
)
def test_it_never_holds_more_than_it_may(told: list[tuple[Kind, float, int]]) -> None:
    held = PreRoll(BEFORE_S, MOST_BYTES)
    for kind, at_s, size in told:
        held.add(Item(kind, at_s, {}, bytes(size)))
    items = held.take()
    assert sum(item.size_bytes for item in items) <= MOST_BYTES
    inputs = [item.at_s for item in items if item.kind == "input"]
    assert inputs == sorted(inputs)
    assert not inputs or inputs[-1] - inputs[0] <= BEFORE_S


@pytest.mark.parametrize(
    ("now_s", "is_over"), [(9.9, True), (10.0, False), (15.0, False), (15.1, True), (9.0, True), (19.0, True)]
)
def test_a_recording_lasts_until_its_last_reason_has_faded(now_s: float, is_over: bool) -> None:
    assert Span(10.0, 12.0, 300.0).extended(15.0).extended(13.0).is_over(now_s) is is_over


def test_a_recording_never_lasts_longer_than_it_may() -> None:
    assert Span(10.0, 12.0, 5.0).extended(1000.0).is_over(15.1)
