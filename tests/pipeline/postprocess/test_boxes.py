from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edged.domain.errors import BundleError
from edged.domain.result import Detections
from edged.domain.tensor import TensorSpec
from edged.pipeline.postprocess import boxes
from fakes.binding import bound, picture

CORNERS = np.array(
    [[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9], [0.0, 0.0, 1.0, 1.0]]], np.float32
)
FACES = np.array([[[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]]], np.float32)
SPECS = [TensorSpec("scores", (1, 4, 2), "float32"), TensorSpec("boxes", (1, 4, 4), "float32")]
FOUND = [("face", 0.9, [0.1, 0.1, 0.5, 0.5]), ("face", 0.7, [0.6, 0.6, 0.9, 0.9])]


def _decode(specs: list[TensorSpec], tensors: list[np.ndarray], **changes: Any) -> Detections:
    settings = {"labels": ("face",), "min_score": 0.5, **changes}
    return boxes.bind(bound(specs, decoder="boxes", **settings)).decode(tensors, [], picture())


def _told(got: Detections) -> list[tuple[str, float, list[float]]]:
    return [(item.label, round(item.score, 3), [round(side, 3) for side in item.box]) for item in got.items]


def test_boxes_that_overlap_are_one_and_the_background_is_none() -> None:
    assert _told(_decode(SPECS, [FACES, CORNERS])) == FOUND


def test_the_outputs_order_does_not_matter() -> None:
    assert _told(_decode(SPECS[::-1], [CORNERS, FACES])) == FOUND


def test_boxes_may_be_in_pixels() -> None:
    assert _told(_decode(SPECS, [FACES, CORNERS * 64], boxes="pixels")) == FOUND


def test_a_label_for_each_column_leaves_no_background() -> None:
    got = _decode(SPECS, [FACES, CORNERS], labels=("mask", "face"), min_score=0.85)
    assert [item.label for item in got.items] == ["face", "mask"]


def test_without_labels_the_first_of_several_columns_is_the_background() -> None:
    assert [item.label for item in _decode(SPECS, [FACES, CORNERS], labels=()).items] == ["0", "0"]


def test_a_single_column_of_scores_is_the_class() -> None:
    specs = [TensorSpec("s", (1, 4, 1), "float32"), SPECS[1]]
    assert _told(_decode(specs, [FACES[..., 1:], CORNERS], labels=())) == [("0", *rest) for _, *rest in FOUND]


def test_four_classes_are_told_from_boxes_by_name() -> None:
    scores = np.zeros((1, 4, 4), np.float32)
    scores[0, 2, 3] = 0.7
    specs = [TensorSpec("box_out", (1, 4, 4), "float32"), TensorSpec("cls", (1, 4, 4), "float32")]
    assert [item.label for item in _decode(specs, [CORNERS, scores], labels=("a", "b", "c", "d")).items] == ["d"]


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 4, 4)],
        [(1, 4, 4), (4,)],
        [(1, 4, 2), (1, 4, 3)],
        [(1, 4, 4), (1, 4, 4)],
        [(1, 5, 2), (1, 4, 4)],
    ],
)
def test_other_outputs_are_refused(shapes: list[tuple[int, ...]]) -> None:
    specs = [TensorSpec("y", shape, "float32") for shape in shapes]
    with pytest.raises(BundleError, match="expected scores 1 x N x classes and boxes 1 x N x 4"):
        boxes.bind(bound(specs, decoder="boxes"))
