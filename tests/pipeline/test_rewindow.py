"""Windows of one length become windows of another, as if they had been cut from the samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import ConfigError
from edged.domain.frame import Frame, Samples, Stamp
from edged.domain.tensor import Array
from edged.pipeline.rewindow import Recorded, rewindowed
from edged.pipeline.window import Windower

RATE_HZ = 100.0


def windows(values: Array, length: int, stride: int) -> list[Frame]:
    times_s = np.arange(len(values)) / RATE_HZ
    return Windower(length, stride, values.shape[1]).push(Samples(values, times_s, Stamp(0, 5, 5, 0.0)))


def again(frames: Iterable[Frame], hop: int, length: int, stride: int) -> list[Frame]:
    return list(rewindowed(frames, Recorded(hop, 1 / RATE_HZ), Windower(length, stride, 2)))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 20), st.integers(1, 20))
def test_they_are_those_that_the_samples_would_have_given(
    length: int, hop: int, new_length: int, new_stride: int
) -> None:
    hop = min(hop, length)
    values = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    recorded = windows(values, length, hop)
    whole = values[: length + (len(recorded) - 1) * hop]

    got = again(recorded, hop, new_length, new_stride)
    expected = windows(whole, new_length, new_stride)

    assert [frame.data.tobytes() for frame in got] == [frame.data.tobytes() for frame in expected]
    assert [frame.stamp.source_s for frame in got] == pytest.approx([frame.stamp.source_s for frame in expected])


def test_none_spans_samples_that_are_missing() -> None:
    values = np.arange(80, dtype=np.float32).reshape(40, 2)
    recorded = windows(values, 8, 4)
    del recorded[4:6]

    got = again(recorded, 4, 6, 6)

    assert all(np.array_equal(np.diff(frame.data[:, 0]), np.full(5, 2.0)) for frame in got)
    assert len(got) == 5


def test_samples_that_were_never_recorded_are_not_made_up() -> None:
    values = np.zeros((40, 2), np.float32)
    with pytest.raises(ConfigError, match="8 samples were recorded of every 10"):
        again(windows(values, 8, 10), 10, 6, 6)
