from __future__ import annotations

import numpy as np
import pytest

from edged.domain.bundle import ImageInput
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.result import Keypoint
from edged.domain.tensor import TensorSpec
from edged.pipeline.postprocess import keypoints
from fakes.binding import bound, picture

TWO = TensorSpec("points", (1, 1, 2, 3), "float32")
ROWS = np.array([[[[0.25, 0.5, 0.9], [0.75, 0.125, 0.2]]]], np.float32)


def test_rows_of_y_x_score_become_named_points_on_the_frame() -> None:
    decoder = keypoints.bind(bound([TWO], decoder="keypoints", labels=("head", "tail"), min_score=0.1))
    assert decoder.decode([ROWS], [], picture()).items == (
        Keypoint("head", pytest.approx(0.9), 0.5, 0.25),
        Keypoint("tail", pytest.approx(0.2), 0.125, 0.75),
    )


def test_points_that_are_not_sure_enough_are_left_out() -> None:
    decoder = keypoints.bind(bound([TWO], decoder="keypoints", labels=("head", "tail"), min_score=0.5))
    assert [item.label for item in decoder.decode([ROWS], [], picture()).items] == ["head"]


def test_points_are_mapped_back_from_a_letterboxed_picture() -> None:
    image = ImageInput(kind="image", width=64, height=64, fit="letterbox")
    decoder = keypoints.bind(bound([TWO], decoder="keypoints", model_input=image))
    (head,) = decoder.decode([ROWS], [], picture(height=32, width=64)).items
    assert (head.label, head.x, head.y) == ("0", 0.5, 0.0)


def test_seventeen_points_without_labels_are_cocos() -> None:
    decoder = keypoints.bind(bound([TensorSpec("points", (1, 1, 17, 3), "float32")], decoder="keypoints", min_score=0))
    items = decoder.decode([np.zeros((1, 1, 17, 3), np.float32)], [], picture()).items
    assert [items[0].label, items[16].label] == ["nose", "right_ankle"]


@pytest.mark.parametrize(
    "shapes", [[], [(1, 1, 17, 2)], [(1, 6, 17, 3)], [(3,)], [(1, 17, 3), (1, 17, 3)], [(1, 0, 3)]]
)
def test_other_outputs_are_refused(shapes: list[tuple[int, ...]]) -> None:
    specs = [TensorSpec("y", shape, "float32") for shape in shapes]
    with pytest.raises(BundleError, match="expected one output of 1 x 1 x points x 3"):
        keypoints.bind(bound(specs, decoder="keypoints"))


def test_numbers_that_are_none_are_the_engines_fault() -> None:
    decoder = keypoints.bind(bound([TWO], decoder="keypoints"))
    with pytest.raises(EngineLostError, match="it holds values that are no numbers"):
        decoder.decode([np.full((1, 1, 2, 3), np.nan, np.float32)], [], picture())
