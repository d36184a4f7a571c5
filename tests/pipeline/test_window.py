"""Samples cut into windows: the right slices, none lost, none over a gap."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import ConfigError
from edged.domain.frame import Frame, Samples
from edged.pipeline.window import Windower
from fakes.source import samples


def block(values: range | list[int], times_s: list[float] | None = None) -> Samples:
    times = [value / 10 for value in values] if times_s is None else times_s
    return samples([[float(value)] for value in values], times)


def firsts(frames: list[Frame]) -> list[int]:
    return [int(frame.data[0, 0]) for frame in frames]


def test_a_window_is_emitted_when_its_last_sample_comes() -> None:
    windower = Windower(4, 2, 1)

    assert windower.push(block(range(3))) == []
    frames = windower.push(block(range(3, 6)))

    assert firsts(frames) == [0, 2]
    assert frames[0].data.tolist() == [[0], [1], [2], [3]]
    assert frames[0].data.dtype == np.float32


def test_a_stamp_is_of_the_last_sample_and_counts_windows() -> None:
    windower = Windower(4, 2, 1)

    frames = windower.push(samples([[float(i)] for i in range(6)], [i / 10 for i in range(6)], mono_ns=7))

    assert [frame.stamp.index for frame in frames] == [0, 1]
    assert [frame.stamp.source_s for frame in frames] == [0.3, 0.5]
    assert [frame.stamp.mono_ns for frame in frames] == [7, 7]


def test_a_gap_begins_the_window_anew_and_is_counted() -> None:
    windower = Windower(4, 4, 1)

    frames = windower.push(block(range(10), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 1.0, 1.1, 1.2]))

    assert firsts(frames) == [0, 6]
    assert windower.gaps == 1


def test_a_gap_between_two_blocks_is_one_too() -> None:
    windower = Windower(4, 4, 1)
    windower.push(block(range(3)))

    frames = windower.push(block(range(100, 104)))

    assert firsts(frames) == [100]
    assert windower.gaps == 1


def test_one_lost_sample_is_no_gap() -> None:
    windower = Windower(4, 4, 1)

    frames = windower.push(block([0, 1, 3, 4]))

    assert firsts(frames) == [0]
    assert windower.gaps == 0


def test_time_that_goes_back_is_a_gap() -> None:
    windower = Windower(2, 2, 1)

    frames = windower.push(block(range(5), [0.0, 0.1, 0.2, 0.0, 0.1]))

    assert firsts(frames) == [0, 3]
    assert windower.gaps == 1


def test_equal_stamps_are_no_gap() -> None:
    windower = Windower(4, 4, 1)

    frames = windower.push(block(range(8), [0.0] * 4 + [1.0] * 4))

    assert firsts(frames) == [0, 4]
    assert windower.gaps == 0


def test_a_source_may_change_its_rate_for_good() -> None:
    windower = Windower(2, 2, 1)
    times = [i * 0.1 for i in range(10)] + [1.0 + i for i in range(1, 100)]

    windower.push(block(range(len(times)), times))
    gaps = windower.gaps
    frames = windower.push(block(range(4), [101.0 + i for i in range(4)]))

    assert windower.gaps == gaps < 80
    assert len(frames) == 2


def test_a_gap_ends_the_pause_between_windows_too() -> None:
    windower = Windower(2, 5, 1)
    windower.push(block(range(2)))

    assert firsts(windower.push(block(range(50, 52)))) == [50]


def test_restart_forgets_what_is_half_done() -> None:
    windower = Windower(4, 4, 1)
    windower.push(block(range(3)))

    windower.restart()

    assert windower.push(block(range(3))) == []
    assert windower.gaps == 0


def test_an_empty_block_changes_nothing() -> None:
    windower = Windower(2, 2, 1)
    windower.push(block(range(1)))

    empty = Samples(np.empty((0, 1), np.float32), np.empty(0), block(range(1)).stamp)

    assert windower.push(empty) == []
    assert firsts(windower.push(block([1]))) == [0]


def test_a_window_keeps_its_values_when_the_block_changes() -> None:
    windower = Windower(2, 2, 1)
    first = block(range(2))

    (frame,) = windower.push(first)
    first.values[:] = 9

    assert frame.data.tolist() == [[0], [1]]


def test_another_number_of_channels_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"shape \(1, 2\), expected 3 channels"):
        Windower(2, 2, 3).push(samples([[1.0, 2.0]], [0.0]))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_windows_of_nothing_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError):
        Windower(*sizes)


def test_its_repr_says_what_it_cuts() -> None:
    windower = Windower(4, 2, 1)
    windower.push(block(range(5)))

    assert repr(windower) == "<Windower 4x1 every 2: 1 windows, 0 gaps, 3 samples wait>"


@given(
    length=st.integers(1, 12),
    stride=st.integers(1, 15),
    total=st.integers(0, 80),
    cuts=st.lists(st.integers(0, 80)),
)
def test_every_window_is_the_right_slice_and_none_is_missing(
    length: int, stride: int, total: int, cuts: list[int]
) -> None:
    windower = Windower(length, stride, 1)
    edges = sorted({0, total, *(cut for cut in cuts if cut < total)})

    frames = []
    for start, end in pairwise(edges):
        frames += windower.push(block(range(start, end)))

    expected = list(range(0, total - length + 1, stride))
    assert firsts(frames) == expected
    assert all(
        frame.data[:, 0].tolist() == list(range(at, at + length)) for at, frame in zip(expected, frames, strict=True)
    )
    assert [frame.stamp.source_s for frame in frames] == [(at + length - 1) / 10 for at in expected]


@given(
    steps=st.lists(st.sampled_from([0.09, 0.1, 0.11, 0.25, 0.5, 7.0]), min_size=1, max_size=80),
    cuts=st.lists(st.integers(1, 79)),
    length=st.integers(1, 6),
    stride=st.integers(1, 8),
)
def test_how_samples_are_grouped_into_blocks_never_changes_the_windows(
    steps: list[float], cuts: list[int], length: int, stride: int
) -> None:
    times = [float(t) for t in np.cumsum(steps)]
    whole, parts = Windower(length, stride, 1), Windower(length, stride, 1)
    edges = sorted({0, len(times), *(cut for cut in cuts if cut < len(times))})

    at_once = whole.push(block(range(len(times)), times))
    grouped = []
    for start, end in pairwise(edges):
        grouped += parts.push(block(range(start, end), times[start:end]))

    assert firsts(grouped) == firsts(at_once)
    assert parts.gaps == whole.gaps
