from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edged.domain.bundle import ImageInput
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.result import Detections
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline.postprocess import yolox
from fakes.binding import bound, picture

CELLS = 8 * 8 + 4 * 4 + 2 * 2  # of 64 x 64 pixels
LABELS = ("person", "dog")
SETTINGS: dict[str, Any] = {"decoder": "yolox", "min_score": 0.4, "nms_iou": 0.45}


def _raw(*found: tuple[int, list[float]]) -> np.ndarray:
    table = np.zeros((1, CELLS, 7), np.float32)
    for cell, row in found:
        table[0, cell] = row
    return table


# The cell at column 3, row 2 of the 8-pixel grid: centre (3.5, 2.5) * 8 = (28, 20), size (16, 8).
ONE = (2 * 8 + 3, [0.5, 0.5, np.log(2.0), 0.0, 0.9, 0.1, 0.8])
# The cell at column 1, row 0 of the 32-pixel grid: centre (48, 16), size (32, 32).
OTHER = (64 + 16 + 1, [0.5, 0.5, 0.0, 0.0, 0.8, 0.9, 0.1])


def _decode(specs: list[TensorSpec], tensors: list[np.ndarray], **changes: Any) -> Detections:
    decoder = yolox.bind(bound(specs, labels=LABELS, **{**SETTINGS, **changes}))
    return decoder.decode(tensors, [], picture())


def _spec(*shape: int) -> TensorSpec:
    return TensorSpec("output", shape, "float32")


def _told(got: Detections) -> list[tuple[str, float, list[float]]]:
    return [(item.label, round(item.score, 3), [round(side * 64, 2) for side in item.box]) for item in got.items]


FOUND = [("dog", 0.72, [20.0, 16.0, 36.0, 24.0]), ("person", 0.72, [32.0, 0.0, 64.0, 32.0])]


@pytest.mark.parametrize("shape", [(1, CELLS, 7), (CELLS, 7)])
def test_cells_of_every_grid_become_boxes(shape: tuple[int, ...]) -> None:
    assert _told(_decode([_spec(*shape)], [_raw(ONE, OTHER).reshape(shape)])) == FOUND


def test_a_tensor_with_a_column_for_each_prediction_is_read_too() -> None:
    raw = _raw(ONE, OTHER).transpose(0, 2, 1)
    assert _told(_decode([_spec(1, 7, CELLS)], [raw])) == FOUND


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("names", [("a", "b", "c"), ("boxes", "objectness", "class_scores")])
def test_three_tensors_are_told_apart_by_shape(order: tuple[int, ...], names: tuple[str, ...]) -> None:
    raw = _raw(ONE, OTHER)
    parts = [raw[..., :4], raw[..., 4:5], raw[..., 5:]]
    specs = [TensorSpec(names[index], parts[index].shape, "float32") for index in order]
    assert _told(_decode(specs, [parts[index] for index in order])) == FOUND


def test_with_one_class_three_tensors_are_told_apart_by_name() -> None:
    raw = _raw((19, [0.5, 0.5, 0.0, 0.0, 0.9, 0.8, 0.0]))
    specs = [
        TensorSpec("cls", (1, CELLS, 1), "float32"),
        TensorSpec("reg", (1, CELLS, 4), "float32"),
        TensorSpec("obj", (1, CELLS, 1), "float32"),
    ]
    decoder = yolox.bind(bound(specs, **SETTINGS))
    got = decoder.decode([raw[..., 5:6], raw[..., :4], raw[..., 4:5]], [], picture())
    assert _told(got) == [("0", 0.72, [24.0, 16.0, 32.0, 24.0])]


def test_a_large_picture_may_have_a_fourth_grid() -> None:
    cells = 16 * 16 + 8 * 8 + 4 * 4 + 2 * 2
    image = ImageInput(kind="image", width=128, height=128)
    decoder = yolox.bind(bound([_spec(1, cells, 7)], model_input=image, **SETTINGS))
    raw = np.zeros((1, cells, 7), np.float32)
    raw[0, -1] = [0.5, 0.5, 0, 0, 1, 1, 0]
    assert decoder.decode([raw], [], picture()).items[0].box == pytest.approx((0.5, 0.5, 1.0, 1.0))


def test_overlapping_boxes_of_a_class_become_one() -> None:
    near = (2 * 8 + 3, [0.6, 0.5, np.log(2.0), 0.0, 0.9, 0.1, 0.7])
    twin = (2 * 8 + 4, [-0.5, 0.5, np.log(2.0), 0.0, 0.9, 0.1, 0.8])
    assert len(_decode([_spec(1, CELLS, 7)], [_raw(near, twin)]).items) == 1


def test_a_quantised_tensor_is_read_in_real_values() -> None:
    spec = TensorSpec("output", (1, CELLS, 7), "int8", Quantization(0.01, -20))
    raw = np.clip(np.rint(_raw(ONE) / 0.01) - 20, -128, 127).astype(np.int8)
    ((label, score, box),) = _told(_decode([spec], [raw]))
    assert (label, score) == ("dog", 0.72)
    assert box == pytest.approx([20.0, 16.0, 36.0, 24.0], abs=0.1)


def test_scores_without_their_sigmoid_get_it() -> None:
    row = (0, [0.5, 0.5, 0.0, 0.0, 9.0, -9.0, 9.0])
    raw = _raw(row)
    raw[0, 1:, 4] = -9.0
    assert [item.label for item in _decode([_spec(1, CELLS, 7)], [raw], activation="sigmoid").items] == ["dog"]


def test_boxes_are_mapped_from_the_letterbox_to_the_frame() -> None:
    image = ImageInput(kind="image", width=64, height=64, fit="letterbox", align="top-left")
    decoder = yolox.bind(bound([_spec(1, CELLS, 7)], labels=LABELS, model_input=image, **SETTINGS))
    got = decoder.decode([_raw(ONE)], [], picture(64, 128))
    assert got.items[0].box == pytest.approx((20 / 64, 16 / 32, 36 / 64, 24 / 32))


def test_a_size_beyond_every_picture_does_not_overflow() -> None:
    got = _decode([_spec(1, CELLS, 7)], [_raw((0, [0.5, 0.5, 1e4, 1e4, 1.0, 1.0, 0.0]))])
    assert got.items[0].box == (0.0, 0.0, 1.0, 1.0)


def test_nothing_found_is_an_empty_answer() -> None:
    assert _decode([_spec(1, CELLS, 7)], [_raw()]) == Detections(())


def test_an_output_that_is_no_number_is_a_failure() -> None:
    with pytest.raises(EngineLostError, match="no numbers"):
        _decode([_spec(1, CELLS, 7)], [_raw((5, [np.nan] * 7))])


def test_labels_that_do_not_fit_are_refused_with_both_numbers() -> None:
    with pytest.raises(BundleError, match="the model's 3 classes: the label file holds 2 lines"):
        yolox.bind(bound([_spec(1, CELLS, 8)], labels=LABELS, **SETTINGS))


@pytest.mark.parametrize(
    "specs",
    [
        [_spec(1, CELLS + 2, 7)],
        [_spec(1, CELLS, 5)],
        [_spec(7)],
        [_spec(1, CELLS, 4), _spec(1, CELLS, 1)],
        [_spec(1, CELLS, 4), _spec(1, CELLS, 1), _spec(1, CELLS - 1, 2)],
        [_spec(1, 9, 4), _spec(1, 9, 1), _spec(1, 9, 2)],
        [_spec(1, CELLS, 1), _spec(1, CELLS, 1), _spec(1, CELLS, 4)],
        [_spec(1, CELLS, 4), _spec(1, CELLS, 1), _spec(4)],
        [],
    ],
)
def test_outputs_of_another_kind_are_refused(specs: list[TensorSpec]) -> None:
    with pytest.raises(
        BundleError, match=f"cannot decode with 'yolox': the model gives .* N = 64 or 80 or {CELLS} or {CELLS + 1} "
    ):
        yolox.bind(bound(specs, **SETTINGS))
