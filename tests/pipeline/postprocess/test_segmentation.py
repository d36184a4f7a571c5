from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edged.domain.bundle import ImageInput
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.frame import Frame
from edged.domain.result import Mask
from edged.domain.tensor import Quantization, TensorSpec
from edged.fleet import documents
from edged.fleet.topics import Stamper
from edged.pipeline.postprocess import segmentation
from edged.pipeline.postprocess.agree import pixels
from fakes.binding import bound, picture
from fakes.clock import FakeClock
from fakes.results import result

LABELS = ("background", "bird", "dog")
IMAGE = ImageInput(kind="image", width=4, height=4)
CLASSES = np.array([[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0], [2, 0, 0, 0]])


def _decode(spec: TensorSpec, tensor: np.ndarray, frame: Frame | None = None, **changes: Any) -> Mask:
    settings = {"labels": LABELS, "model_input": IMAGE, "decoder": "segmentation", **changes}
    return segmentation.bind(bound([spec], **settings)).decode([tensor], [], frame or picture())


def _told(mask: Mask) -> list[tuple[str, float, tuple[int, ...]]]:
    return [(item.label, item.share, item.runs) for item in mask.items]


FOUND = [("bird", 5 / 16, (2, 2, 1, 3)), ("dog", 1 / 16, (12, 1))]


@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32"])
@pytest.mark.parametrize("shape", [(1, 4, 4), (4, 4), (1, 4, 4, 1), (1, 1, 4, 4)])
def test_a_map_of_class_numbers_becomes_run_lengths(dtype: str, shape: tuple[int, ...]) -> None:
    mask = _decode(TensorSpec("map", shape, dtype), CLASSES.astype(dtype).reshape(shape))
    assert (mask.width, mask.height, mask.box) == (4, 4, (0.0, 0.0, 1.0, 1.0))
    assert _told(mask) == FOUND


def test_of_scores_the_highest_wins_wherever_the_classes_stand() -> None:
    scores = np.eye(3, dtype=np.float32)[CLASSES][np.newaxis]
    assert _told(_decode(TensorSpec("scores", (1, 4, 4, 3), "float32"), scores)) == FOUND
    first = np.ascontiguousarray(scores.transpose(0, 3, 1, 2))
    assert _told(_decode(TensorSpec("scores", (1, 3, 4, 4), "float32"), first)) == FOUND


def test_quantised_scores_are_compared_as_they_are() -> None:
    spec = TensorSpec("scores", (1, 4, 4, 3), "int8", Quantization(0.1, 3))
    assert _told(_decode(spec, np.eye(3, dtype=np.int8)[CLASSES][np.newaxis] * 9)) == FOUND


def test_without_labels_the_shorter_outer_axis_holds_the_classes() -> None:
    scores = np.eye(3, dtype=np.float32)[CLASSES].transpose(2, 0, 1)[np.newaxis]
    mask = _decode(TensorSpec("scores", (1, 3, 4, 4), "float32"), scores, labels=())
    assert [item.label for item in mask.items] == ["0", "1", "2"]


@pytest.mark.parametrize("shape", [(1, 4, 4, 1), (1, 1, 4, 4)])
def test_a_single_score_tells_one_class_from_the_rest(shape: tuple[int, ...]) -> None:
    scores = np.where(CLASSES == 1, 2.0, -2.0).astype(np.float32).reshape(shape)
    spec = TensorSpec("score", shape, "float32")
    mask = _decode(spec, scores, labels=("crack",), activation="sigmoid", min_score=0.5)
    assert _told(mask) == [("crack", 5 / 16, (2, 2, 1, 3))]
    assert _told(_decode(spec, scores, labels=("crack",), min_score=0.5)) == _told(mask)


def test_a_letterboxs_border_is_cut_off() -> None:
    image = ImageInput(kind="image", width=4, height=4, fit="letterbox")
    mask = _decode(TensorSpec("map", (4, 4), "uint8"), CLASSES.astype(np.uint8), picture(32, 64), model_input=image)
    assert (mask.width, mask.height, mask.box) == (4, 2, (0.0, 0.0, 1.0, 1.0))
    assert _told(mask) == [("bird", 3 / 8, (1, 3))]


def test_a_cropped_picture_covers_the_middle_of_the_frame() -> None:
    image = ImageInput(kind="image", width=4, height=4, fit="center-crop")
    mask = _decode(TensorSpec("map", (4, 4), "uint8"), CLASSES.astype(np.uint8), picture(32, 64), model_input=image)
    assert (mask.width, mask.height, mask.box) == (4, 4, (0.25, 0.0, 0.75, 1.0))


def test_only_so_many_classes_are_told_the_largest_first() -> None:
    mask = _decode(TensorSpec("map", (4, 4), "uint8"), CLASSES.astype(np.uint8), max_items=1)
    assert [item.label for item in mask.items] == ["bird"]


def test_a_class_without_a_name_is_the_bundles_fault() -> None:
    with pytest.raises(BundleError, match="cannot name class 7: the label file holds 3 lines"):
        _decode(TensorSpec("map", (4, 4), "uint8"), np.full((4, 4), 7, np.uint8))


def test_the_worst_of_maps_fits_in_a_document() -> None:
    noise = np.random.default_rng(7).integers(0, 3, (1024, 1024))
    mask = _decode(TensorSpec("map", (1, 1024, 1024), "int64"), noise[np.newaxis])
    body = json.dumps(documents.result_body(result(mask), Stamper("a-boot", FakeClock())))
    assert len(body) < 128 * 1024
    assert 40 < mask.width < 1024


def test_thinning_keeps_every_nth_pixel_and_no_more_than_needed() -> None:
    stripes = np.tile(np.arange(200) % 2, (200, 1))
    # 40,000 edges and as many numbers twice; every second pixel is of one class only.
    assert segmentation.thinned(stripes).tolist() == stripes[::2, ::2].tolist()
    assert pixels(_decode(TensorSpec("map", (200, 200), "uint8"), stripes.astype(np.uint8)), "bird").sum() == 0


@pytest.mark.parametrize(
    "specs",
    [
        [],
        [TensorSpec("y", (1, 10), "float32")],
        [TensorSpec("y", (4, 4), "float32")],
        [TensorSpec("y", (1, 4, 4), "uint8"), TensorSpec("z", (1, 4, 4), "uint8")],
    ],
)
def test_other_outputs_are_refused(specs: list[TensorSpec]) -> None:
    with pytest.raises(BundleError, match="cannot decode with 'segmentation'"):
        segmentation.bind(bound(specs, decoder="segmentation", model_input=IMAGE))


def test_scores_that_are_no_numbers_are_the_engines_fault() -> None:
    with pytest.raises(EngineLostError):
        _decode(TensorSpec("scores", (1, 4, 4, 3), "float32"), np.full((1, 4, 4, 3), np.nan, np.float32))
