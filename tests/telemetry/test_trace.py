from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.telemetry.trace import Span, Trace, Tracer, read_traceparent

EXAMPLE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
"""The standard's own."""


def ignore(_spans: object) -> None:
    """Take no spans."""


def test_the_standards_example_is_read_and_written_as_it_stands() -> None:
    trace = read_traceparent(EXAMPLE)

    assert trace == Trace(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, is_sampled=True)
    assert str(trace) == EXAMPLE


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_is_read_back(trace_id: int, span_id: int, is_sampled: bool) -> None:
    trace = Trace(trace_id, span_id, is_sampled)

    assert read_traceparent(str(trace)) == trace


@pytest.mark.parametrize(
    "text",
    [
        "",
        EXAMPLE.upper(),
        EXAMPLE[:-1],
        f"{EXAMPLE}-more",
        f"{EXAMPLE}\n",
        EXAMPLE.replace("00-4b", "ff-4b"),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
    ],
)
def test_what_is_no_traceparent_is_left_alone(text: str) -> None:
    assert read_traceparent(text) is None


def test_of_a_later_version_the_beginning_counts() -> None:
    later = read_traceparent(f"cc-{EXAMPLE[3:]}-what-comes-then")

    assert later is not None
    assert str(later) == EXAMPLE


def test_flags_that_are_not_known_are_passed_over() -> None:
    unsampled = read_traceparent(f"{EXAMPLE[:-2]}fe")

    assert unsampled is not None
    assert not unsampled.is_sampled


@pytest.mark.parametrize(("trace_id", "span_id"), [(0, 1), (1, 0), (1 << 128, 1), (1, 1 << 64)])
def test_ids_that_are_none_are_refused(trace_id: int, span_id: int) -> None:
    with pytest.raises(ValueError, match="cannot build trace"):
        Trace(trace_id, span_id, is_sampled=True)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_that_is_asked_for_is_collected(share: float) -> None:
    tracer = Tracer(share, ignore, random.Random(7).getrandbits)  # noqa: S311 - no secret

    collected = sum(tracer.begin().is_sampled for _ in range(4000)) / 4000

    assert collected == pytest.approx(share, abs=0.03 if 0 < share < 1 else 0)


@pytest.mark.parametrize("is_sampled", [True, False])
def test_a_step_of_somebody_elses_trace_is_collected_as_that_one_is(is_sampled: bool) -> None:
    parent = Trace(5, 6, is_sampled)

    child = Tracer(0.0 if is_sampled else 1.0, ignore).begin(parent)

    assert (child.trace_id, child.is_sampled) == (5, is_sampled)
    assert child.span_id != parent.span_id


def test_an_id_is_never_0() -> None:
    assert Tracer(0.0, ignore, lambda _bits: 0).begin() == Trace(1, 1, is_sampled=False)


def test_a_span_needs_no_more_than_its_times() -> None:
    assert Span("frame", Trace(1, 2, is_sampled=True), None, 3, 4).kind == "internal"
