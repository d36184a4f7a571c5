from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edged.pipeline.postprocess import runs

MAPS = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))


def test_runs_count_outside_and_inside_by_turns_row_by_row() -> None:
    classes = np.array([[0, 1, 1], [1, 0, 2]])
    assert list(runs.encode(classes)) == [(1, 3, (1, 3)), (0, 2, (0, 1, 3, 1)), (2, 1, (5, 1))]


@given(MAPS)
def test_what_was_encoded_is_decoded_to_the_same_pixels(classes: np.ndarray) -> None:
    height, width = classes.shape
    for number, size, lengths in runs.encode(classes):
        pixels = runs.decode(lengths, width, height)
        assert (pixels == (classes == number)).all()
        assert size == pixels.sum()


@given(MAPS)
def test_every_pixel_is_of_exactly_one_class(classes: np.ndarray) -> None:
    height, width = classes.shape
    layers = [runs.decode(lengths, width, height) for _, _, lengths in runs.encode(classes)]
    assert (np.sum(layers, axis=0) == 1).all()


@given(MAPS)
def test_the_numbers_are_as_many_as_were_announced(classes: np.ndarray) -> None:
    assert sum(len(lengths) for _, _, lengths in runs.encode(classes)) == runs.count(classes)


def test_runs_longer_than_the_mask_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot lay 7 pixels on a mask of 3 by 2, expected at most 6"):
        runs.decode((3, 4), 3, 2)
