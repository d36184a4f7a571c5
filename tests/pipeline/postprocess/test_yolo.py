from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edged.domain.errors import BundleError, EngineLostError
from edged.domain.result import Detections
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline.postprocess import registry
from fakes.binding import bound, picture

LABELS = ("person", "dog")
COUNT = 30
FOUND = [("dog", 0.72, [20.0, 16.0, 36.0, 24.0]), ("person", 0.63, [32.0, 0.0, 64.0, 32.0])]
ONE, ONE_AGAIN, OTHER = (28.0, 20.0, 16.0, 8.0), (28.5, 20.0, 16.0, 8.0), (48.0, 16.0, 32.0, 32.0)


def _v5() -> np.ndarray:
    table = np.zeros((1, COUNT, 7), np.float32)
    table[0, 3] = (*ONE, 0.9, 0.1, 0.8)
    table[0, 4] = (*ONE_AGAIN, 0.9, 0.1, 0.7)
    table[0, 9] = (*OTHER, 0.7, 0.9, 0.1)
    table[0, 10] = (*OTHER, 0.7, 0.3, 0.1)
    return table


def _v8() -> np.ndarray:
    table = np.zeros((1, 6, COUNT), np.float32)
    table[0, :, 3] = (*ONE, 0.1, 0.72)
    table[0, :, 4] = (*ONE_AGAIN, 0.1, 0.6)
    table[0, :, 9] = (*OTHER, 0.63, 0.1)
    return table


def _decode(decoder: str, tensor: np.ndarray, spec: TensorSpec | None = None, **changes: Any) -> Detections:
    spec = spec or TensorSpec("output0", tensor.shape, "float32")
    settings = {"labels": LABELS, "min_score": 0.4, "nms_iou": 0.45, **changes}
    answer = registry.bind(bound([spec], decoder=decoder, **settings)).decode([tensor], [], picture())
    assert isinstance(answer, Detections)
    return answer


def _told(got: Detections) -> list[tuple[str, float, list[float]]]:
    return [(item.label, round(item.score, 3), [round(side * 64, 2) for side in item.box]) for item in got.items]


@pytest.mark.parametrize(("decoder", "table"), [("yolov5", _v5()), ("yolov8", _v8())])
@pytest.mark.parametrize("labels", [LABELS, ()])
def test_centres_and_sides_become_boxes_in_either_order(
    decoder: str, table: np.ndarray, labels: tuple[str, ...]
) -> None:
    expected = FOUND if labels else [(str(LABELS.index(name)), *rest) for name, *rest in FOUND]
    assert _told(_decode(decoder, table, labels=labels)) == expected
    turned = np.ascontiguousarray(table.transpose(0, 2, 1))
    assert _told(_decode(decoder, turned, labels=labels)) == expected
    assert _told(_decode(decoder, turned[0], labels=labels)) == expected


@pytest.mark.parametrize(("decoder", "table", "box"), [("yolov5", _v5(), slice(0, 4)), ("yolov8", _v8(), slice(0, 4))])
def test_boxes_may_be_fractions_of_the_picture(decoder: str, table: np.ndarray, box: slice) -> None:
    boxes = table[..., box] if decoder == "yolov5" else table[:, box]
    boxes /= 64
    assert _told(_decode(decoder, table, boxes="fractions")) == FOUND


@pytest.mark.parametrize(("decoder", "table"), [("yolov5", _v5()), ("yolov8", _v8())])
def test_a_quantised_output_is_read_in_real_values(decoder: str, table: np.ndarray) -> None:
    scaled = table.copy()
    boxes = scaled[..., :4] if decoder == "yolov5" else scaled[:, :4]
    boxes /= 64
    spec = TensorSpec("output0", table.shape, "int8", Quantization(1 / 255, -128))
    stored = (np.rint(scaled * 255) - 128).astype(np.int8)
    got = _decode(decoder, stored, spec, boxes="fractions")
    assert [item.label for item in got.items] == ["dog", "person"]
    assert got.items[0].box == pytest.approx([20 / 64, 16 / 64, 36 / 64, 24 / 64], abs=0.01)


@pytest.mark.parametrize(("decoder", "table", "scores"), [("yolov5", _v5(), 4), ("yolov8", _v8(), 4)])
def test_scores_may_need_an_activation(decoder: str, table: np.ndarray, scores: int) -> None:
    part = table[..., scores:] if decoder == "yolov5" else table[:, scores:]
    part[:] = np.log((part + 1e-6) / (1 - part + 1e-6))
    assert _told(_decode(decoder, table, activation="sigmoid")) == FOUND


@pytest.mark.parametrize("decoder", ["yolov5", "yolov8"])
def test_an_empty_picture_has_no_detections(decoder: str) -> None:
    shape = (1, COUNT, 7) if decoder == "yolov5" else (1, 6, COUNT)
    assert _decode(decoder, np.zeros(shape, np.float32)).items == ()


@pytest.mark.parametrize("shapes", [[], [(1, 30, 9)], [(1, 2, 3, 30)], [(1, 30, 7), (1, 30, 7)], [(30,)]])
@pytest.mark.parametrize("decoder", ["yolov5", "yolov8"])
def test_other_outputs_are_refused(decoder: str, shapes: list[tuple[int, ...]]) -> None:
    specs = [TensorSpec("y", shape, "float32") for shape in shapes]
    with pytest.raises(
        BundleError, match=rf"expected one output of 1 x N x \({'5' if decoder == 'yolov5' else '4'} \+ 2\)"
    ):
        registry.bind(bound(specs, decoder=decoder, labels=LABELS))


def test_numbers_that_are_none_are_the_engines_fault() -> None:
    with pytest.raises(EngineLostError):
        _decode("yolov8", np.full((1, 6, COUNT), np.nan, np.float32))
