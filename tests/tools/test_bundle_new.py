from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgectl.bundle import toml
from edgectl.bundle.draft import Draft, draft
from edgectl.bundle.facts import read_facts
from edgectl.bundle.inputs import Guess
from edgectl.bundle.new import write
from edgectl.cli import main
from edged.config.read import read_toml
from edged.domain.errors import BundleError, ConfigError
from edged.update.manifest import read_bundle, verify

pytest.importorskip("onnx", reason="needs edged[workshop]")

LICENSED = {"license": "MIT"}
EXPECTED: dict[str, tuple[Mapping[str, Any], dict[str, Any]]] = {
    "mobilenet_v1_0.25_224_quant.tflite": (
        {},
        {
            "decoder": "classification",
            "license": "Apache-2.0",
            "color": "rgb",
            "mean": (127.5,),
            "labels": "1001 names",
        },
    ),
    "mobilenet_v1_0.25_224_float.tflite": (LICENSED, {"decoder": "classification", "width": 224}),
    "yolox_nano.onnx": (LICENSED, {"decoder": "yolox", "fit": "letterbox", "color": "bgr", "std": (1.0,)}),
    "yolox_nano_float16.tflite": (LICENSED, {"decoder": "yolox", "width": 416}),
    "FastestDet.onnx": (LICENSED, {"decoder": "fastestdet", "std": (255.0,)}),
    "face_slim_320.onnx": (LICENSED, {"decoder": "boxes", "width": 320, "height": 240}),
    "movenet_lightning_ptq.tflite": (LICENSED, {"decoder": "keypoints", "mean": (0.0,), "std": (1.0,)}),
    "ssd_mobilenet_v1_coco_quant.tflite": (LICENSED, {"decoder": "ssd", "mean": (128.0,), "std": (128.0,)}),
    "deeplabv3_mnv2_dm05_pascal_quant.tflite": (LICENSED, {"decoder": "segmentation"}),
    "mnist.onnx": (LICENSED, {"decoder": "classification", "color": "grey", "activation": "softmax"}),
    "ad01_fp32.tflite": ({**LICENSED, "threshold": 10.0}, {"decoder": "reconstruction", "length": 640}),
    "hello_world_int8.tflite": (LICENSED, {"decoder": "regression", "length": 1}),
    "micro_speech_quantized.tflite": (
        {**LICENSED, "length": 16000, "steps": ("micro-features",)},
        {"decoder": "classification", "channels": 1},
    ),
    "vww_96_int8.tflite": (LICENSED, {"decoder": "classification", "mean": (0.0,), "std": (255.0,)}),
}


def drafted(assets: Path, name: str, given: Mapping[str, Any] = LICENSED) -> Draft:
    return draft([read_facts(assets / "models" / name)], given, (), None)


def told(plan: Draft) -> dict[str, Any]:
    return {answer.key: answer.value for answer in plan.answers}


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_file_becomes_a_bundle_that_opens(assets: Path, tmp_path: Path, name: str) -> None:
    given, expected = EXPECTED[name]
    plan = drafted(assets, name, given)
    folder = write(plan, tmp_path / "made")
    assert expected.items() <= told(plan).items()
    assert verify(read_bundle(folder)) == []


@pytest.mark.assets
def test_labels_and_licence_come_out_of_the_files_own_metadata(assets: Path, tmp_path: Path) -> None:
    folder = write(drafted(assets, "mobilenet_v1_0.25_224_quant.tflite", {}), tmp_path / "made")
    labels = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert (len(labels), labels[951]) == (1001, "orange")


@pytest.mark.assets
def test_what_the_file_says_is_told_apart_from_what_is_usual(assets: Path) -> None:
    origins = {answer.key: answer.origin for answer in drafted(assets, "yolox_nano.onnx").answers}
    assert (origins["width"], origins["decoder"], origins["license"]) == ("file", "file", "flag")
    assert (origins["color"], origins["fit"]) == ("assumed", "assumed")


@pytest.mark.assets
def test_all_that_nobody_says_is_asked_for_at_once(assets: Path) -> None:
    with pytest.raises(
        ConfigError, match="does not say license, threshold, expected flags for it; give --license, --threshold"
    ):
        drafted(assets, "ad01_fp32.tflite", {})


@pytest.mark.assets
def test_at_a_terminal_only_what_the_file_leaves_open_is_asked(assets: Path) -> None:
    asked: list[str] = []

    def ask(key: str, guess: Guess | None) -> Any:
        asked.append(key)
        return guess.value if guess else "MIT"

    plan = draft([read_facts(assets / "models" / "yolox_nano.onnx")], {"color": "bgr"}, (), ask)
    assert asked == ["name", "version", "license", "fit", "mean", "std"]
    assert told(plan)["license"] == "MIT"


@pytest.mark.assets
def test_several_files_become_variants_each_with_its_own_layout(assets: Path, tmp_path: Path) -> None:
    files = [read_facts(assets / "models" / f"vww_96_{kind}.tflite") for kind in ("float", "int8")]
    files.append(read_facts(assets / "models" / "vww_96_float.tflite"))
    plan = draft(files[:2], {**LICENSED, "mean": (0.0,), "std": (255.0,)}, ("nobody", "person"), None)
    bundle = read_bundle(write(plan, tmp_path / "made"))
    assert [(one.id, one.precision) for one in bundle.manifest.variant] == [
        ("tflite-fp32", "fp32"),
        ("tflite-int8", "int8"),
    ]
    assert bundle.manifest.output.labels == "labels.txt"


@pytest.mark.assets
def test_labels_that_are_not_as_many_as_the_classes_are_refused_and_nothing_appears(
    assets: Path, tmp_path: Path
) -> None:
    plan = draft([read_facts(assets / "models" / "vww_96_int8.tflite")], LICENSED, ("one",), None)
    with pytest.raises(BundleError, match="cannot name the model's 2 classes: the label file holds 1 lines"):
        write(plan, tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.assets
@pytest.mark.parametrize(
    ("given", "told_"),
    [
        ({"color": "purple"}, "--color: cannot use 'purple'"),
        ({"mean": (1.0, 2.0)}, "cannot use mean of 2 numbers"),
        ({"decoder": "yolov9"}, "does not say task"),
        ({"version": "one"}, r"cannot make a bundle: model.toml: version: cannot use 'one'"),
        ({"kind": "picture"}, r"cannot use --kind picture: the input is \(1, 96, 96, 3\), expected image or window"),
    ],
)
def test_a_flag_that_fits_nothing_is_told(assets: Path, tmp_path: Path, given: dict[str, Any], told_: str) -> None:
    with pytest.raises((ConfigError, BundleError), match=told_):
        write(drafted(assets, "vww_96_float.tflite", {**LICENSED, **given}), tmp_path / "made")


@pytest.mark.assets
def test_a_bundle_that_is_there_is_not_overwritten(assets: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with pytest.raises(ConfigError, match="it is there already, expected a new folder; name another with --out"):
        write(drafted(assets, "hello_world_int8.tflite"), tmp_path / "made")


@pytest.mark.assets
def test_the_verb_prints_one_document(assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = assets / "models" / "hello_world_float.tflite"
    arguments = [
        "bundle",
        "new",
        str(model),
        "--license",
        "MIT",
        "--name",
        "sine",
        "--out",
        str(tmp_path / "sine"),
        "--json",
    ]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["variants"][0]["id"]) == ("edgectl.bundle.new/1", "tflite-fp32")
    assert document["answers"]["length"] == {"value": 1, "from": "file", "why": "the input is 1x1, 1 channels"}


@pytest.mark.parametrize(
    ("name", "told_"), [("absent.onnx", "there is no such file"), ("model.h5", "its ending is '.h5'")]
)
def test_a_file_that_is_none_is_one_line_and_status_2(
    tmp_path: Path, name: str, told_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "new", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), told_ in error) == (1, True)


@pytest.mark.assets
@pytest.mark.parametrize("name", ["fake_op_double.tflite", "ssd_mobilenet_v1_int8.tflite", "person_detect.tflite"])
def test_a_file_that_does_not_run_here_is_refused_in_the_engines_words(assets: Path, name: str) -> None:
    with pytest.raises(BundleError, match=f"cannot (run|load) {name}"):
        read_facts(assets / "models" / name)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    table = {
        "text": 'a "b"\\\x7f\n',
        "number": 1.5,
        "whole": 3,
        "truth": True,
        "many": [1, 2],
        "odd key": {"inner": "x"},
    }
    file = tmp_path / "x.toml"
    file.write_text(toml.section("[part]", table), encoding="utf-8")
    assert read_toml(file) == {"part": table}
