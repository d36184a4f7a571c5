"""Real models on real pictures and recordings give the answers that they are known for."""

from __future__ import annotations

import csv
import math
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import pytest

from edged.domain.errors import BundleError
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Anomaly, Classes, Detection, Detections, Keypoints, Mask, Output, Values
from edged.engines import onnx, tflite
from edged.pipeline import preprocess
from edged.pipeline.condition import When
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.agree import iou, pixels
from edged.pipeline.postprocess.binding import Binding
from edged.pipeline.resize import opencv
from edged.pipeline.rules import Rule, Rules, Timing
from fakes.assetbundle import load, materialise
from fakes.results import at

pytestmark = [pytest.mark.assets, pytest.mark.slow]
STAMP = Stamp(0, 0, 0, 0.0)
OPEN = {"tflite": tflite.open_engine, "onnx": onnx.open_engine}
Ask: TypeAlias = Callable[[np.ndarray], Output]


@pytest.fixture(scope="module")
def models(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Ask]:
    """Give a function that loads a bundle's variant and answers frames with it."""
    opened: dict[tuple[str, str], Ask] = {}
    folders: dict[str, Path] = {}

    def get(name: str, variant_id: str) -> Ask:
        if name not in folders:
            folders[name] = materialise(name, assets, tmp_path_factory.mktemp("bundles"))
        if (name, variant_id) not in opened:
            opened[name, variant_id] = _open(folders[name], variant_id)
        return opened[name, variant_id]

    return get


def _open(folder: Path, variant_id: str) -> Ask:
    bundle = load(folder)
    variant = next(variant for variant in bundle.manifest.variant if variant.id == variant_id)
    model_input, output = bundle.input_of(variant), bundle.output_of(variant)
    labels = tuple((folder / output.labels).read_text().splitlines()) if output.labels else ()
    engine = OPEN[variant.runtime](bundle.path_of(variant), threads=1)
    prepare = preprocess.build(model_input, engine.inputs[0], variant.layout, opencv())
    decoder = registry.bind(Binding(output, model_input, engine.inputs, engine.outputs, labels))

    def ask(values: np.ndarray) -> Output:
        frame = Frame(values, STAMP)
        tensors = prepare(frame)
        return decoder.decode(engine.infer(tensors), tensors, frame)

    return ask


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


SSD_DOG = {
    "bicycle": (0.73, (0.177, 0.204, 0.745, 0.754)),
    "car": (0.64, (0.606, 0.137, 0.899, 0.296)),
    "dog": (0.64, (0.170, 0.357, 0.427, 0.939)),
}
YOLOX_DOG = {
    "dog": (0.86, (132 / 768, 206 / 576, 325 / 768, 543 / 576)),
    "bicycle": (0.80, (51 / 768, 137 / 576, 572 / 768, 423 / 576)),
    "car": (0.80, (466 / 768, 78 / 576, 692 / 768, 171 / 576)),
}
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


def _sine(ask: Ask, x: float) -> float:
    got = ask(np.full((1, 1), x, np.float32))
    assert isinstance(got, Values)
    return got.items[0].value


def test_a_regression_gives_the_sine(models: Callable[[str, str], Ask]) -> None:
    ask = models("sine", "fp32")
    assert [_sine(ask, x) for x in np.linspace(0, 6.28, 50)] == pytest.approx(
        [math.sin(x) for x in np.linspace(0, 6.28, 50)], abs=0.1
    )


@pytest.mark.parametrize(("x", "known"), [(1.57, 1.003), (4.71, -1.086)])
def test_a_quantised_regression_gives_real_values(models: Callable[[str, str], Ask], x: float, known: float) -> None:
    assert _sine(models("sine", "int8"), x) == pytest.approx(known, abs=0.01)


def _sound(assets: Path, name: str) -> np.ndarray:
    with wave.open(str(assets / "sensors" / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(-1), np.int16).astype(np.float32)[:, np.newaxis] / 32768


def _features(assets: Path, name: str) -> np.ndarray:
    # The file's integers stand for these reals: preprocessing writes them back as they were.
    stored = np.load(assets / "sensors" / "micro_speech_features.npz")[name].reshape(49, 40).astype(np.float32)
    return (stored + 128) * np.float32(0.10171568393707275)


@pytest.mark.parametrize(
    ("name", "label", "score"),
    [("yes_1000ms", "yes", 0.996), ("no_1000ms", "no", 0.961), ("noise_1000ms", "yes", 0.652)],
)
def test_a_keyword_is_known_by_its_features(
    assets: Path, models: Callable[[str, str], Ask], name: str, label: str, score: float
) -> None:
    got = models("keyword", "int8-features")(_features(assets, name))
    assert isinstance(got, Classes)
    assert got.items[0].label == label
    assert got.items[0].score == pytest.approx(score, abs=0.002)


@pytest.mark.parametrize(("name", "label"), [("yes_1000ms", "yes"), ("no_1000ms", "no")])
def test_a_keyword_is_known_by_its_sound(
    assets: Path, models: Callable[[str, str], Ask], name: str, label: str
) -> None:
    got = models("keyword", "int8")(_sound(assets, name))
    assert isinstance(got, Classes)
    assert got.items[0].label == label
    assert got.items[0].score > 0.9


@pytest.mark.parametrize(
    ("name", "triggered"),
    [("yes_1000ms", True), ("no_1000ms", False), ("noise_1000ms", False), ("silence_1000ms", False)],
)
def test_a_spoken_yes_triggers_an_event_and_noise_does_not(
    assets: Path, models: Callable[[str, str], Ask], name: str, triggered: bool
) -> None:
    heard = models("keyword", "int8-features")(_features(assets, name))
    rules = Rules([Rule("keyword", "yes", When(label="yes", min_score=0.8), Timing(for_s=0.5, gap_s=1.0))])
    # Two windows that overlap by half show the same word.
    events = [event for one in at([heard, heard], every_s=0.5) for event in rules.step(one)]
    assert [event.phase for event in events] == (["start"] if triggered else [])


@pytest.mark.parametrize(("variant", "expected"), [("int8", 10.265), ("fp32", 9.707)])
def test_the_machine_sound_model_scores_its_normal_recording_as_known(
    assets: Path, models: Callable[[str, str], Ask], variant: str, expected: float
) -> None:
    content = np.fromfile(assets / "sensors" / "normal_id_01_00000000_hist_librosa.bin", np.float32).reshape(200, 128)
    ask = models("machine-sound", variant)
    scores = [_score(ask(content[start : start + 5])) for start in range(196)]
    assert np.mean(scores) == pytest.approx(expected, rel=0.01)


@pytest.fixture(scope="module")
def fan_scores(assets: Path, models: Callable[[str, str], Ask]) -> dict[str, list[float]]:
    ask = models("ceiling-fan", "fp32")
    folders = sorted((assets / "sensors" / "ceiling-fan").iterdir())
    return {folder.name: [_score(ask(_recording(file))) for file in sorted(folder.iterdir())] for folder in folders}


def _recording(file: Path) -> np.ndarray:
    return np.loadtxt(file, delimiter=",", dtype=np.float32)[:128]


def _score(output: Output) -> float:
    assert isinstance(output, Anomaly)
    return output.score


@pytest.mark.parametrize("fault", ["fan_0_low_1_weight", "fan_0_high_0_weight", "fan_0_off_0_weight"])
def test_the_fan_model_separates_normal_from_faulty_recordings(fan_scores: dict[str, list[float]], fault: str) -> None:
    normal = fan_scores["fan_0_low_0_weight"]
    assert _auc(normal, fan_scores[fault]) >= 0.99


def test_the_fan_bundles_threshold_parts_most_of_them(fan_scores: dict[str, list[float]]) -> None:
    normal = np.array(fan_scores["fan_0_low_0_weight"])
    faulty = np.concatenate([scores for name, scores in fan_scores.items() if name != "fan_0_low_0_weight"])
    assert np.mean(normal > 2e-6) <= 0.05
    assert np.mean(faulty > 2e-6) >= 0.95


def _auc(normal: Sequence[float], faulty: Sequence[float]) -> float:
    """Give the share of pairs in which the faulty one scores higher (Mann-Whitney), ties counting half."""
    above = np.subtract.outer(np.array(faulty), np.array(normal))
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ("unknown-operator", "fake-op-double"),
        ("micro-signal", "SignalWindow.*TensorFlow Lite Micro"),
        ("old-quantisation", "per-channel quantisation"),
        ("lfs-pointer", "Git LFS pointer"),
        ("edgetpu", "Coral Edge TPU"),
    ],
)
def test_foreign_files_are_refused_with_the_reason(assets: Path, tmp_path: Path, variant: str, told: str) -> None:
    folder = materialise("foreign", assets, tmp_path)
    with pytest.raises(BundleError, match=told):
        _open(folder, variant)


@pytest.mark.parametrize(
    ("name", "variant", "output", "told"),
    [
        ("mobilenet-v2", "int8", 'labels = "../mnist/labels.txt"', "expected a relative path"),
        ("visual-wake-words", "int8", 'decoder = "yolox"', "cannot decode with 'yolox'"),
        ("visual-wake-words", "int8", 'decoder = "ssd"', "cannot decode with 'ssd'"),
    ],
)
def test_a_bundle_that_does_not_fit_its_file_is_refused(
    assets: Path, tmp_path: Path, name: str, variant: str, output: str, told: str
) -> None:
    folder = materialise(name, assets, tmp_path)
    file = folder / "model.toml"
    key = output.split(" ", 1)[0]
    lines = [output if line.startswith(f"{key} ") else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    with pytest.raises((BundleError, ValueError), match=told):
        _open(folder, variant)


def test_labels_that_do_not_fit_are_refused_with_both_numbers(assets: Path, tmp_path: Path) -> None:
    folder = materialise("mobilenet-v2", assets, tmp_path)
    (folder / "imagenet_labels_1001.txt").write_text("one\ntwo\n")
    with pytest.raises(BundleError, match="1001 classes: the label file holds 2 lines"):
        _open(folder, "int8")


def test_a_picture_of_another_size_than_the_files_is_refused_with_both(assets: Path, tmp_path: Path) -> None:
    folder = materialise("mobilenet-v2", assets, tmp_path)
    file = folder / "model.toml"
    file.write_text(file.read_text().replace("width = 224", "width = 192"))
    with pytest.raises(BundleError, match="its shape is 1x224x224x3, expected 1x224x192x3"):
        _open(folder, "int8")
