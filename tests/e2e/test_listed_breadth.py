"""Poses, masks, faces, numbers and words by real models through the whole daemon: their listed answers; and what does not fit, refused."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.domain.result import Detection, Mask, Segment
from edged.pipeline.postprocess.agree import iou, pixels
from fakes import brokers
from fakes.assetbundle import materialise
from fakes.daemon import DaemonProcess, write_config
from fakes.sensor import pipeline
from fakes.subscriber import Document, Subscriber
from fakes.waiting import until

pytestmark = [pytest.mark.assets, pytest.mark.slow]

PICTURES = (
    "bird_segmentation.bmp",
    "bus.jpg",
    "cat_720p.jpg",
    "dog.jpg",
    "face.jpg",
    "grace_hopper.bmp",
    "orange.png",
    "squat.bmp",
    "test_couple.jpg",
)
ON_PICTURES = {"pose": "movenet-lightning", "mask": "deeplab-pascal", "face": "face-slim", "grid": "fastestdet"}
ANGLES = tuple(float(x) for x in np.linspace(0, 6.28, 20))
FEATURES = ("yes_1000ms", "no_1000ms", "silence_1000ms", "noise_1000ms")
SOUNDS = ("yes_1000ms", "no_1000ms")
SPOKEN = '[[pipeline.rule]]\nname = "yes"\nwhen = { label = "yes", min_score = 0.8 }\n'
REFUSED = {
    "missing": "cannot read file 'mobilenet_v2_1.0_224_quant.tflite'",
    "misshapen": "its shape is 1x224x224x3, expected 1x224x192x3",
    "mislabelled": "1001 classes: the label file holds 2 lines",
}
INPUT_SCALE = np.float32(0.10171568393707275)
"""The keyword model's own: its file's integers stand for these reals."""


def put_bundles(models: Path, assets: Path) -> None:
    for name in (*ON_PICTURES.values(), "sine", "keyword"):
        materialise(name, assets, models)
    for name in REFUSED:
        folder = materialise("mobilenet-v2", assets, models / "spare").rename(models / name)
        text = (folder / "model.toml").read_text().replace('name = "mobilenet-v2"', f'name = "{name}"')
        width = "width = 192" if name == "misshapen" else "width = 224"
        (folder / "model.toml").write_text(text.replace("width = 224", width))
    (models / "missing" / "mobilenet_v2_1.0_224_quant.tflite").unlink()
    (models / "mislabelled" / "imagenet_labels_1001.txt").write_text("one\ntwo\n")


def put_pictures(folder: Path, assets: Path) -> str:
    (folder / "photos").mkdir()
    for picture in PICTURES:
        shutil.copyfile(assets / "images" / picture, folder / "photos" / picture)
    body = f'[[source]]\nname = "photos"\nkind = "images"\npath = "{folder / "photos"}"\n'
    for name, model in ON_PICTURES.items():
        body += pipeline(name, source="photos", model=model)
    return body + "".join(pipeline(f"bad-{name}", source="photos", model=name) for name in REFUSED)


def put_recordings(folder: Path, assets: Path) -> str:
    (folder / "angles.csv").write_text("x\n" + "".join(f"{angle}\n" for angle in ANGLES))
    body = (
        f'[[source]]\nname = "angles"\nkind = "csv"\npath = "{folder / "angles.csv"}"\ncolumns = ["x"]\nrate_hz = 1\n'
    )
    body += pipeline("sine", source="angles", model="sine", more='pin = "fp32"')
    stored = np.load(assets / "sensors" / "micro_speech_features.npz")
    names = [f"band{index}" for index in range(40)]
    for name in FEATURES:
        rows = (stored[name].reshape(49, 40).astype(np.float32) + 128) * INPUT_SCALE
        file = folder / f"{name}.csv"
        np.savetxt(file, rows, delimiter=",", header=",".join(names), comments="", fmt="%.9g")
        source = name.replace("_1000ms", "-bands")
        body += f'[[source]]\nname = "{source}"\nkind = "csv"\npath = "{file}"\ncolumns = {names}\nrate_hz = 49\n'
        body += pipeline(source, source=source, model="keyword", more=f'pin = "int8-features"\n{SPOKEN}')
    for name in SOUNDS:
        source = name.replace("_1000ms", "-sound")
        file = assets / "sensors" / f"{name}.wav"
        body += f'[[source]]\nname = "{source}"\nkind = "wav"\npath = "{file}"\nrate_hz = 16000\n'
        body += pipeline(source, source=source, model="keyword", more=f'pin = "int8"\n{SPOKEN}')
    return body


@pytest.fixture(scope="module")
def fleet(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subscriber]:
    """Run one daemon with every model until everything was heard; gives who heard it."""
    folder = tmp_path_factory.mktemp("breadth")
    put_bundles(folder / "models", assets)
    body = put_pictures(folder, assets) + put_recordings(folder, assets)
    broker = brokers.mosquitto(folder)
    heard = Subscriber(broker.port)
    daemon = DaemonProcess(write_config(folder, broker.port, body)).start()
    expected = {**dict.fromkeys(ON_PICTURES, len(PICTURES)), "sine": len(ANGLES)}
    expected |= dict.fromkeys((f"{name[:-7]}-bands" for name in FEATURES), 1)
    expected |= dict.fromkeys((f"{name[:-7]}-sound" for name in SOUNDS), 1)
    try:
        for name, count in expected.items():
            came = lambda name=name, count=count: len(heard.of(f"result/{name}")) >= count  # noqa: E731 - read at once
            until(came, f"{count} results of {name}", within_s=180)
        until(lambda: all(heard.reason(f"bad-{name}") for name in REFUSED), "the refused ones in the health")
        yield heard
        assert daemon.stop()[0] == 0
    finally:
        daemon.close()
        heard.close()
        broker.close()


def of(fleet: Subscriber, name: str, picture: str) -> Document:
    (found,) = [one for one in fleet.of(f"result/{name}") if one["frame"] == PICTURES.index(picture)]
    assert found["status"] == "ok"
    return found


def test_a_pose_is_that_of_the_reference(fleet: Subscriber, assets: Path) -> None:
    with (assets / "models" / "movenet_lightning_reference.csv").open() as file:
        known = [(float(row["keypoint_x"]), float(row["keypoint_y"])) for row in csv.DictReader(file)]
    told = of(fleet, "pose", "squat.bmp")["keypoints"]
    assert max(max(abs(one["x"] - x), abs(one["y"] - y)) for one, (x, y) in zip(told, known, strict=True)) <= 0.03


@pytest.mark.parametrize(("picture", "score"), [("squat.bmp", 0.536), ("cat_720p.jpg", 0.141)])
def test_a_person_is_a_pose_and_a_cat_is_hardly_one(fleet: Subscriber, picture: str, score: float) -> None:
    told = of(fleet, "pose", picture)["keypoints"]
    assert np.mean([one["score"] for one in told]) == pytest.approx(score, abs=0.02)


def test_a_cat_covers_its_known_share_of_the_picture(fleet: Subscriber) -> None:
    shares = {one["label"]: one["share"] for one in of(fleet, "mask", "cat_720p.jpg")["mask"]["segments"]}
    assert shares["cat"] == pytest.approx(0.383, abs=0.01)


def test_a_bird_is_where_the_known_mask_has_it(fleet: Subscriber, assets: Path) -> None:
    known = cv2.imread(str(assets / "images" / "bird_segmentation_mask.bmp"), cv2.IMREAD_UNCHANGED) == 3
    told = of(fleet, "mask", "bird_segmentation.bmp")["mask"]
    segments = tuple(Segment(one["label"], one["share"], tuple(one["runs"])) for one in told["segments"])
    mask = Mask(told["width"], told["height"], tuple(told["box"]), segments)
    # What is told may be coarser than the network's own map: documents have a size.
    size = (mask.width, mask.height)
    there = cv2.resize(known.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    bird = pixels(mask, "bird")
    assert (bird & there).sum() / (bird | there).sum() >= 0.8


@pytest.mark.parametrize(
    ("picture", "count"), [("grace_hopper.bmp", 1), ("face.jpg", 4), ("cat_720p.jpg", 0), ("orange.png", 0)]
)
def test_faces_are_counted(fleet: Subscriber, picture: str, count: int) -> None:
    assert [item["label"] for item in of(fleet, "face", picture)["detections"]] == ["face"] * count


def test_a_detector_with_one_grid_finds_a_bus(fleet: Subscriber) -> None:
    (bus,) = of(fleet, "grid", "bus.jpg")["detections"]
    assert (bus["label"], bus["score"]) == ("bus", pytest.approx(0.96, abs=0.03))
    known = Detection("bus", 0.96, (44 / 640, 82 / 480, 583 / 640, 415 / 480))
    assert iou(Detection("bus", 0.96, tuple(bus["box"])), known) >= 0.95


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("dog.jpg", [("dog", 0.78), ("car", 0.77), ("bicycle", 0.74)]),
        ("cat_720p.jpg", [("cat", 0.73)]),
        ("orange.png", [("orange", 0.93)]),
        ("test_couple.jpg", [("person", 0.93), ("person", 0.93)]),
    ],
)
def test_a_detector_with_one_grid_finds_what_is_in_the_picture(
    fleet: Subscriber, picture: str, expected: list[tuple[str, float]]
) -> None:
    found = of(fleet, "grid", picture)["detections"]
    assert [(one["label"], pytest.approx(one["score"], abs=0.03)) for one in found] == expected


def test_a_regression_gives_the_sine(fleet: Subscriber) -> None:
    told = [one["values"][0]["value"] for one in fleet.of("result/sine")]
    assert told == pytest.approx([math.sin(angle) for angle in ANGLES], abs=0.1)


@pytest.mark.parametrize(
    ("name", "label", "score"),
    [("yes-bands", "yes", 0.996), ("no-bands", "no", 0.961), ("noise-bands", "yes", 0.652)],
)
def test_a_keyword_is_known_by_its_features(fleet: Subscriber, name: str, label: str, score: float) -> None:
    (told,) = fleet.of(f"result/{name}")
    assert (told["classes"][0]["label"], told["classes"][0]["score"]) == (label, pytest.approx(score, abs=0.002))


@pytest.mark.parametrize("word", ["yes", "no"])
def test_a_keyword_is_known_by_its_sound(fleet: Subscriber, word: str) -> None:
    (told,) = fleet.of(f"result/{word}-sound")
    assert told["classes"][0]["label"] == word
    assert told["classes"][0]["score"] > 0.9


def test_a_spoken_yes_is_an_event_and_noise_another_word_and_silence_are_none(fleet: Subscriber) -> None:
    speaks = {name: [one["phase"] for one in fleet.of(f"event/{name}")] for name in ("yes-bands", "yes-sound")}
    assert {phases[0] for phases in speaks.values()} == {"start"}
    for name in ("no-bands", "silence-bands", "noise-bands", "no-sound"):
        assert fleet.of(f"event/{name}") == [], name


@pytest.mark.parametrize(("name", "told"), sorted(REFUSED.items()))
def test_what_does_not_fit_is_refused_with_the_reason_and_costs_the_others_nothing(
    fleet: Subscriber, name: str, told: str
) -> None:
    assert told in fleet.reason(f"bad-{name}")
    assert fleet.of(f"result/bad-{name}") == []
    assert [one["frame"] for one in fleet.of("result/pose")] == list(range(len(PICTURES)))
