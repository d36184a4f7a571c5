from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from edged.domain.bundle import ImageInput, WindowInput
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.result import Detection, Detections
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline.postprocess import ssd
from fakes.binding import bound, picture

SHAPES = {"boxes": (1, 3, 4), "classes": (1, 3), "scores": (1, 3), "count": (1,)}
VALUES = {
    "boxes": [[[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 1.0, 1.5], [0.0, 0.0, 0.1, 0.1]]],
    "classes": [[1.0, 0.0, 0.0]],
    "scores": [[0.75, 0.5, 0.875]],
    "count": [2.0],
}
LABELS = ("person", "dog")
TF1 = ("boxes", "classes", "scores", "count")
TF2 = ("scores", "boxes", "count", "classes")
NAMES = {
    "boxes": "detection_boxes",
    "classes": "detection_classes",
    "scores": "detection_scores",
    "count": "num_detections",
}


def _specs(order: tuple[str, ...], *, names: dict[str, str] | None = None, told: bool = False) -> list[TensorSpec]:
    return [
        TensorSpec(
            (names or {}).get(role, f"StatefulPartitionedCall:{place}"),
            SHAPES[role],
            "float32",
            meaning=role if told else "",
        )
        for place, role in enumerate(order)
    ]


def _tensors(order: tuple[str, ...], **changes: Any) -> list[np.ndarray]:
    return [np.array({**VALUES, **changes}[role], np.float32) for role in order]


def _decode(
    order: tuple[str, ...], specs: list[TensorSpec], labels: tuple[str, ...] = LABELS, **changes: Any
) -> Detections:
    decoder = ssd.bind(bound(specs, labels=labels, decoder="ssd", min_score=0.4))
    return decoder.decode(_tensors(order, **changes), [], picture())


FOUND = Detections(
    (
        Detection("dog", 0.75, pytest.approx((0.2, 0.1, 0.4, 0.3))),
        Detection("person", 0.5, pytest.approx((0.5, 0.5, 1.0, 1.0))),
    )
)


@pytest.mark.parametrize("order", [TF1, TF2])
def test_both_known_orders_are_read_where_names_tell_nothing(order: tuple[str, ...]) -> None:
    assert _decode(order, _specs(order)) == FOUND


@pytest.mark.parametrize("order", list(permutations(TF1)))
def test_any_order_is_read_where_names_tell(order: tuple[str, ...]) -> None:
    assert _decode(order, _specs(order, names=NAMES)) == FOUND


@pytest.mark.parametrize("order", list(permutations(TF1)))
def test_any_order_is_read_where_the_file_tells(order: tuple[str, ...]) -> None:
    assert _decode(order, _specs(order, told=True)) == FOUND


def test_boxes_are_mapped_from_the_models_picture_to_the_frame() -> None:
    image = ImageInput(kind="image", width=64, height=64, fit="letterbox")
    decoder = ssd.bind(bound(_specs(TF1), model_input=image, decoder="ssd", min_score=0.7))
    got = decoder.decode(_tensors(TF1), [], picture(32, 64))
    assert got.items[0].box == pytest.approx((0.2, 0.0, 0.4, 0.1))
    assert got.items[0].label == "1"


def test_a_box_outside_of_the_frame_goes() -> None:
    far = [[[2.0, 2.0, 3.0, 3.0], [0.5, 0.5, 1.0, 1.5], [0.0, 0.0, 0.1, 0.1]]]
    assert [item.label for item in _decode(TF1, _specs(TF1), boxes=far).items] == ["person"]


def test_quantised_outputs_are_real_values() -> None:
    specs = _specs(TF1)
    specs[2] = TensorSpec("s", SHAPES["scores"], "uint8", Quantization(1 / 256, 0))
    tensors = _tensors(TF1)
    tensors[2] = np.array([[192, 128, 0]], np.uint8)
    got = ssd.bind(bound(specs, labels=LABELS, decoder="ssd", min_score=0.4)).decode(tensors, [], picture())
    assert got == FOUND


def test_a_class_without_a_name_is_refused_with_both_numbers() -> None:
    with pytest.raises(BundleError, match="cannot name class 7: the label file holds 2 lines, expected at least 8"):
        _decode(TF1, _specs(TF1), classes=[[7.0, 0.0, 0.0]])


@pytest.mark.parametrize("count", [-1.0, 4.0])
def test_a_count_that_cannot_be_is_a_failure(count: float) -> None:
    with pytest.raises(EngineLostError, match="expected 0 to 3"):
        _decode(TF1, _specs(TF1), count=[count])


@pytest.mark.parametrize("role", TF1)
def test_an_output_that_is_no_number_is_a_failure(role: str) -> None:
    bad = np.full(SHAPES[role], np.nan)
    with pytest.raises(EngineLostError, match="no numbers"):
        _decode(TF1, _specs(TF1), **{role: bad})


def test_nothing_found_is_an_empty_answer() -> None:
    assert _decode(TF1, _specs(TF1), count=[0.0]) == Detections(())


@pytest.mark.parametrize(
    "specs",
    [[], _specs(TF1)[:3], [TensorSpec("y", (1, 4), "float32")] * 4, _specs(("classes", "boxes", "scores", "count"))],
)
def test_outputs_of_another_kind_are_refused(specs: list[TensorSpec]) -> None:
    with pytest.raises(BundleError, match=r"cannot decode with 'ssd': the model gives .* expected boxes 1 x N x 4"):
        ssd.bind(bound(specs, decoder="ssd"))


def test_a_window_is_no_picture() -> None:
    window = WindowInput(kind="window", length=4, stride=1, channels=1)
    with pytest.raises(BundleError, match="the bundle's input is a window, expected an image"):
        ssd.bind(bound(_specs(TF1), model_input=window, decoder="ssd"))


def test_keys_of_other_decoders_are_refused() -> None:
    with pytest.raises(BundleError, match="cannot use nms_iou"):
        ssd.bind(bound(_specs(TF1), decoder="ssd", nms_iou=0.5))
