"""Parts are cut out of an endless answer, whatever their heads claim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.sources.multipart import MAX_HEAD_BYTES, MAX_PART_BYTES, Parts

PICTURE = b"\xff\xd8" + bytes(range(256)) * 4 + b"\xff\xd9"


def part(length: int | str | None, data: bytes = PICTURE, mark: bytes = b"--frame") -> bytes:
    head = b"" if length is None else f"Content-Length: {length}\r\n".encode()
    return mark + b"\r\nContent-Type: image/jpeg\r\n" + head + b"\r\n" + data + b"\r\n"


def test_a_part_is_there_as_soon_as_its_announced_bytes_are() -> None:
    assert Parts(b"frame").feed(part(len(PICTURE))) == [PICTURE]


def test_a_part_without_a_length_is_there_when_a_picture_ends() -> None:
    assert Parts(b"frame").feed(part(None)) == [PICTURE]


@pytest.mark.parametrize("length", [None, 10, len(PICTURE) - 1, len(PICTURE) + 500, "many", -5, 0, 10**12, ""])
def test_a_wrong_length_costs_no_picture(length: int | str | None) -> None:
    cut = Parts(b"frame").feed(part(length) * 3 + b"--frame\r\n")

    assert [one.rstrip(b"\r\n") for one in cut] == [PICTURE] * 3


@pytest.mark.parametrize("boundary", [b"frame", b"--frame", b"----frame"])
def test_dashes_of_the_boundary_are_there_or_not(boundary: bytes) -> None:
    assert Parts(boundary).feed(part(len(PICTURE), mark=b"----frame")) == [PICTURE]


def test_what_stands_before_the_first_boundary_is_passed_over() -> None:
    assert Parts(b"frame").feed(b"preamble\r\n" * 50 + part(len(PICTURE))) == [PICTURE]


@given(st.lists(st.integers(1, 700), min_size=1, max_size=60), st.sampled_from([None, len(PICTURE), 3, 5000]))
def test_however_the_bytes_come_the_pictures_are_the_same(sizes: list[int], length: int | None) -> None:
    stream = part(length) * 3 + b"--frame\r\n"
    parts, got, at = Parts(b"frame"), [], 0
    for size in [*sizes, len(stream)]:
        got += parts.feed(stream[at : at + size])
        at += size

    assert [one.rstrip(b"\r\n") for one in got] == [PICTURE] * 3


@given(st.binary(max_size=4000))
def test_no_bytes_at_all_break_it(noise: bytes) -> None:
    parts = Parts(b"frame")
    parts.feed(noise)

    assert PICTURE in [
        one.rstrip(b"\r\n") for one in parts.feed(b"\r\n--frame--\r\n\r\n" + part(len(PICTURE)) + b"--frame")
    ]


def test_a_part_without_an_end_is_thrown_away_and_counted() -> None:
    parts = Parts(b"frame")
    parts.feed(b"--frame\r\n\r\n\xff\xd8")
    for _ in range(MAX_PART_BYTES // 1_000_000 + 1):
        parts.feed(bytes(1_000_000))

    assert parts.oversized == 1
    assert parts.feed(part(len(PICTURE))) == [PICTURE]


def test_a_head_without_an_end_is_given_up() -> None:
    parts = Parts(b"frame")
    parts.feed(b"--frame\r\n" + b"x" * (MAX_HEAD_BYTES + 10))

    assert parts.feed(part(len(PICTURE))) == [PICTURE]
