"""Real models on real pictures give the answers that they are known for."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.domain.result import Classes, Detection, Detections, Keypoints, Mask
from edged.pipeline.postprocess.agree import iou, pixels
from fakes.asked import Ask, askable
from fakes.knownboxes import SSD_DOG, YOLOX_DOG

pytestmark = [pytest.mark.assets, pytest.mark.slow]


@pytest.fixture(scope="module")
def models(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Ask]:
    return askable(assets, lambda: tmp_path_factory.mktemp("bundles"))


def _picture(assets: Path, name: str) -> np.ndarray:
    picture = cv2.imread(str(assets / "images" / name), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


@pytest.mark.parametrize(
    ("name", "variant", "picture", "label", "score"),
    [
        ("mobilenet-v2", "int8", "orange.png", "orange", 0.965),
        ("mobilenet-v2", "int8", "cat_720p.jpg", "Egyptian cat", 0.875),
        ("mobilenet-v2", "int8", "parrot.jpg", "macaw", 0.996),
        ("mobilenet-v2", "int8", "hot_dog.jpg", "hotdog, hot dog, red hot", 0.957),
        ("mobilenet-v2", "int8", "grace_hopper.bmp", "military uniform", 0.879),
        ("mobilenet-v1", "int8-128", "orange.png", "orange", 0.828),
        ("mobilenet-v1", "int8-128", "parrot.jpg", "macaw", 0.828),
        ("mobilenet-v1", "int8-128", "burger.jpg", "cheeseburger", 0.969),
        ("mobilenet-v1", "int8", "orange.png", "orange", 0.918),
        ("mobilenet-v1", "int8", "cat_720p.jpg", "Egyptian cat", 0.426),
        ("mobilenet-v1", "int8", "parrot.jpg", "macaw", 0.812),
        ("mobilenet-v1", "int8", "burger.jpg", "cheeseburger", 0.961),
        ("mobilenet-v1", "fp32", "orange.png", "orange", 0.894),
        ("mobilenet-v1", "fp32", "cat_720p.jpg", "Egyptian cat", 0.402),
        ("mobilenet-v1", "fp32", "parrot.jpg", "macaw", 0.893),
        ("mobilenet-v1", "fp32", "burger.jpg", "cheeseburger", 0.988),
        ("mobilenet-v2-onnx", "int8", "cat_720p.jpg", "Egyptian cat", 0.755),
        ("mobilenet-v2-onnx", "int8", "hot_dog.jpg", "hotdog, hot dog, red hot", 0.851),
        ("mnist", "fp32", "9.png", "9", 1.0),
        ("mnist", "fp32", "mnist_nine.bmp", "9", 1.0),
    ],
)
def test_a_classifier_names_what_is_in_the_picture(
    assets: Path, models: Callable[[str, str], Ask], name: str, variant: str, picture: str, label: str, score: float
) -> None:
    got = models(name, variant)(_picture(assets, picture))
    assert isinstance(got, Classes)
    assert got.items[0].label == label
    assert got.items[0].score == pytest.approx(score, abs=0.02)


@pytest.mark.parametrize(
    ("variant", "picture", "score"),
    [
        ("int8", "squat.bmp", 0.957),
        ("int8", "test_couple.jpg", 0.977),
        ("int8", "cat_720p.jpg", 0.031),
        ("int8", "orange.png", 0.035),
        ("int8", "hot_dog.jpg", 0.078),
        ("fp32", "squat.bmp", 0.955),
        ("fp32", "test_couple.jpg", 0.999),
        ("fp32", "cat_720p.jpg", 0.021),
        ("fp32", "orange.png", 0.014),
    ],
)
def test_persons_are_told_from_other_things(
    assets: Path, models: Callable[[str, str], Ask], variant: str, picture: str, score: float
) -> None:
    got = models("visual-wake-words", variant)(_picture(assets, picture))
    assert isinstance(got, Classes)
    assert {item.label: item.score for item in got.items}["person"] == pytest.approx(score, abs=0.02)


CAT = {"cat": (0.79, (100 / 1280, 105 / 720, 949 / 1280, 712 / 720))}


@pytest.mark.parametrize(
    ("name", "variant", "picture", "expected"),
    [
        ("ssd-mobilenet-v1", "int8", "dog.jpg", SSD_DOG),
        ("ssd-mobilenet-v1", "int8", "cat_720p.jpg", {"cat": (0.73, (0.07, 0.13, 0.72, 0.98))}),
        ("ssd-mobilenet-v1", "int8", "orange.png", {"orange": (0.75, (0.20, 0.21, 0.90, 0.91))}),
        ("yolox-nano", "fp32-onnx", "dog.jpg", YOLOX_DOG),
        ("yolox-nano", "fp32-onnx", "cat_720p.jpg", CAT),
        ("yolox-nano", "fp16", "dog.jpg", YOLOX_DOG),
        ("yolox-nano", "dynamic", "dog.jpg", YOLOX_DOG),
    ],
)
def test_a_detector_finds_what_is_in_the_picture(
    assets: Path,
    models: Callable[[str, str], Ask],
    name: str,
    variant: str,
    picture: str,
    expected: dict[str, tuple[float, tuple[float, float, float, float]]],
) -> None:
    got = models(name, variant)(_picture(assets, picture))
    assert isinstance(got, Detections)
    for label, (score, box) in expected.items():
        best = next(item for item in got.items if item.label == label)
        assert best.score == pytest.approx(score, abs=0.03)
        assert iou(best, Detection(label, score, box)) >= 0.9


@pytest.mark.parametrize(("picture", "label"), [("test_couple.jpg", "person"), ("pets.jpg", "dog")])
def test_two_of_a_kind_are_found_as_two(
    assets: Path, models: Callable[[str, str], Ask], picture: str, label: str
) -> None:
    got = models("ssd-mobilenet-v1", "int8")(_picture(assets, picture))
    assert isinstance(got, Detections)
    assert [item.label for item in got.items] == [label, label]


def test_the_file_that_was_quantised_wrongly_finds_its_boxes_collapsed(
    assets: Path, models: Callable[[str, str], Ask]
) -> None:
    got = models("yolox-nano-broken", "int8")(_picture(assets, "dog.jpg"))
    assert isinstance(got, Detections)
    dog = next(item for item in got.items if item.label == "dog")
    assert dog.score == pytest.approx(0.86, abs=0.03)
    assert iou(dog, Detection("dog", 1.0, YOLOX_DOG["dog"][1])) < 0.2


FASTESTDET_BUS = {"bus": (0.96, (44 / 640, 82 / 480, 583 / 640, 415 / 480))}


@pytest.mark.parametrize(
    ("picture", "scores"),
    [
        ("dog.jpg", {"dog": 0.78, "car": 0.77, "bicycle": 0.74}),
        ("cat_720p.jpg", {"cat": 0.73}),
        ("orange.png", {"orange": 0.93}),
        ("bus.jpg", {"bus": 0.96}),
    ],
)
def test_a_detector_with_one_grid_finds_what_is_in_the_picture(
    assets: Path, models: Callable[[str, str], Ask], picture: str, scores: dict[str, float]
) -> None:
    got = models("fastestdet", "fp32")(_picture(assets, picture))
    assert isinstance(got, Detections)
    assert {item.label: item.score for item in got.items} == pytest.approx(scores, abs=0.03)
    if picture == "bus.jpg":
        score, box = FASTESTDET_BUS["bus"]
        assert iou(got.items[0], Detection("bus", score, box)) >= 0.95


def test_a_detector_with_one_grid_finds_two_persons(assets: Path, models: Callable[[str, str], Ask]) -> None:
    got = models("fastestdet", "fp32")(_picture(assets, "test_couple.jpg"))
    assert isinstance(got, Detections)
    assert [(item.label, round(item.score, 2)) for item in got.items] == [("person", 0.93)] * 2


@pytest.mark.parametrize(
    ("picture", "count"), [("grace_hopper.bmp", 1), ("face.jpg", 4), ("cat_720p.jpg", 0), ("orange.png", 0)]
)
def test_faces_are_counted(assets: Path, models: Callable[[str, str], Ask], picture: str, count: int) -> None:
    got = models("face-slim", "fp32")(_picture(assets, picture))
    assert isinstance(got, Detections)
    assert [item.label for item in got.items] == ["face"] * count
    if picture == "grace_hopper.bmp":
        known = Detection("face", 1.0, (175 / 512, 115 / 606, 352 / 512, 334 / 606))
        assert iou(got.items[0], known) >= 0.95


def test_a_pose_is_that_of_the_reference(assets: Path, models: Callable[[str, str], Ask]) -> None:
    got = models("movenet-lightning", "int8")(_picture(assets, "squat.bmp"))
    with (assets / "models" / "movenet_lightning_reference.csv").open() as file:
        known = [(float(row["keypoint_x"]), float(row["keypoint_y"])) for row in csv.DictReader(file)]
    assert isinstance(got, Keypoints)
    assert max(max(abs(item.x - x), abs(item.y - y)) for item, (x, y) in zip(got.items, known, strict=True)) <= 0.03
    assert np.mean([item.score for item in got.items]) == pytest.approx(0.536, abs=0.01)


def test_a_cat_is_hardly_a_pose(assets: Path, models: Callable[[str, str], Ask]) -> None:
    got = models("movenet-lightning", "int8")(_picture(assets, "cat_720p.jpg"))
    assert isinstance(got, Keypoints)
    assert np.mean([item.score for item in got.items]) == pytest.approx(0.141, abs=0.02)


def test_a_bird_is_where_the_known_mask_has_it(assets: Path, models: Callable[[str, str], Ask]) -> None:
    got = models("deeplab-pascal", "int8")(_picture(assets, "bird_segmentation.bmp"))
    known = cv2.imread(str(assets / "images" / "bird_segmentation_mask.bmp"), cv2.IMREAD_UNCHANGED) == 3
    assert isinstance(got, Mask)
    assert (got.width, got.height, got.items[0].label) == (513, 513, "bird")
    bird = pixels(got, "bird")
    assert (bird & known).sum() / (bird | known).sum() == pytest.approx(0.819, abs=0.01)


def test_a_cat_covers_its_known_share_of_the_picture(assets: Path, models: Callable[[str, str], Ask]) -> None:
    got = models("deeplab-pascal", "int8")(_picture(assets, "cat_720p.jpg"))
    assert isinstance(got, Mask)
    assert {item.label: item.share for item in got.items}["cat"] == pytest.approx(0.383, abs=0.01)
