from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import Box, survey
from edged.assembly.models import answering, open_best, open_rung, read_labels, try_bundle
from edged.config.share import shipped
from edged.domain.errors import BundleError, DeviceError
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Anomaly, Detections
from edged.domain.variant import Rung
from edged.engines import tflite
from edged.update.manifest import read_bundle
from fakes.modelfile import Tensor, tflite_model
from fakes.sensor import picture_bundle, sensor_bundle

STAMP = Stamp(0, 0, 0, 0.0)


@pytest.fixture(scope="module")
def box() -> Box:
    """Give this machine with the shipped profiles."""
    return survey(Path("/"), "auto", ())


@pytest.fixture
def vibration(tmp_path: Path) -> Path:
    """Give a copy of the shipped bundle that a test may damage."""
    return Path(shutil.copytree(shipped("models") / "vibration", tmp_path / "vibration"))


def replace(folder: Path, file: str, content: bytes) -> None:
    """Put another file in a variant's place, with the digest that belongs to it."""
    old = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / file).write_bytes(content)
    manifest = folder / "model.toml"
    manifest.write_text(manifest.read_text().replace(old, hashlib.sha256(content).hexdigest()))


def spoil(bundle: Path, score: float, sample: str = "imbalance") -> None:
    answer = bundle / "golden" / f"{sample}.json"
    answer.write_text(json.dumps({"anomaly": {"score": score}}))


@pytest.mark.parametrize("name", ["parts", "vibration"])
def test_a_shipped_bundle_passes_its_own_trial(box: Box, name: str) -> None:
    assert try_bundle(read_bundle(shipped("models") / name), box) is None


def test_the_first_rung_opens_and_names_what_runs(box: Box, vibration: Path) -> None:
    bundle = read_bundle(vibration)

    opened = open_best(bundle, box)

    ref = opened.model.ref
    variant = next(one for one in bundle.manifest.variant if one.id == ref.variant)
    assert (ref.name, ref.version) == ("vibration", bundle.manifest.version)
    assert (ref.digest, ref.accelerator) == (f"sha256:{variant.sha256}", "cpu")
    assert ref.runtime == opened.model.engine.runtime
    assert opened.passed_over == ""
    assert opened.model_input == bundle.manifest.input


def test_a_model_answers_without_sinks_or_times(box: Box, vibration: Path) -> None:
    opened = open_best(read_bundle(vibration), box)
    window = np.load(vibration / "golden" / "imbalance.npy")
    answer = answering(opened.model)(Frame(window, STAMP))
    assert isinstance(answer, Anomaly)
    assert answer.is_anomaly


def test_a_detector_answers_on_a_grey_picture_of_any_size(box: Box) -> None:
    opened = open_best(read_bundle(shipped("models") / "parts"), box)
    answer = answering(opened.model)(Frame(np.full((37, 91, 3), 128, np.uint8), STAMP))
    assert isinstance(answer, Detections)


def test_a_rung_that_does_not_open_is_passed_over_with_the_reason(box: Box, vibration: Path) -> None:
    first = open_best(read_bundle(vibration), box).model.ref.variant
    spoiled = next(one for one in read_bundle(vibration).manifest.variant if one.id == first)
    replace(vibration, spoiled.file, b"no model at all" * 100)

    opened = open_best(read_bundle(vibration), box)

    assert opened.model.ref.variant != first
    assert opened.passed_over.startswith(f"{first} on cpu: cannot ")


def test_a_rung_whose_operators_are_unknown_is_refused_by_the_ladder(box: Box, vibration: Path) -> None:
    custom = tflite_model([Tensor("x", (1, 75)), Tensor("y", (1, 75))], inputs=(0,), outputs=(1,), custom="my-op")
    for file in ("int8.tflite", "dynamic.tflite", "fp32.tflite"):
        replace(vibration, file, custom)
    opened = open_best(read_bundle(vibration), box)
    assert opened.model.ref.variant.startswith("onnx-")
    assert opened.model.ref.runtime == "onnxruntime"


def test_files_that_all_fail_are_the_bundles_fault_with_every_reason(box: Box, vibration: Path) -> None:
    variants = read_bundle(vibration).manifest.variant
    for variant in variants:
        replace(vibration, variant.file, f"no model at all, {variant.id}".encode() * 100)

    with pytest.raises(BundleError, match=r"cannot run vibration .* on this box") as caught:
        open_best(read_bundle(vibration), box)

    for variant in variants:
        assert variant.id in str(caught.value)
    assert caught.value.remedy == "edged explain vibration shows every variant"


def test_a_box_that_refuses_every_rung_is_the_devices_fault(vibration: Path) -> None:
    bare = survey(Path("/"), "auto", ())
    without = Box(bare.inventory, bare.profile, (), is_this_machine=True)
    with pytest.raises(DeviceError, match="cannot run vibration") as caught:
        open_best(read_bundle(vibration), without)
    assert str(caught.value).count(" on ") >= 3


def test_a_broken_runtime_is_no_fault_of_the_bundle(tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle(sensor_bundle(tmp_path / "level"))
    for module in tflite.RUNTIMES:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeviceError, match="neither ai-edge-litert nor tflite-runtime is installed"):
        try_bundle(bundle, box)


def test_a_box_without_the_camera_libraries_says_what_to_install(
    tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(picture_bundle(tmp_path / "still"))
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "edged.pipeline.resize", raising=False)
    with pytest.raises(DeviceError, match=r"cv2 is not installed.*install edged\[camera\]"):
        open_best(bundle, box)


def test_a_pinned_variant_is_the_only_one_that_counts(box: Box, vibration: Path) -> None:
    assert open_best(read_bundle(vibration), box, "onnx-fp32").model.ref.variant == "onnx-fp32"
    replace(vibration, "fp32.onnx", b"no model at all" * 100)
    with pytest.raises(BundleError, match="onnx-fp32"):
        open_best(read_bundle(vibration), box, "onnx-fp32")


def test_a_wrong_golden_answer_is_refused_with_the_samples_name(box: Box, vibration: Path) -> None:
    spoil(vibration, 99.0)
    reason = try_bundle(read_bundle(vibration), box)
    assert reason is not None
    assert reason.startswith("golden sample imbalance.npy: ")
    assert "99" in reason


def test_a_golden_answer_of_another_kind_is_refused(box: Box, vibration: Path) -> None:
    (vibration / "golden" / "healthy-1.json").write_text('{"detections": []}')
    reason = try_bundle(read_bundle(vibration), box)
    assert reason is not None
    assert "healthy-1" in reason


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("imbalance.npy", b"no array"),
        ("imbalance.npy", b"\x93NUMPY\x01\x00"),
        ("imbalance.json", b"{"),
        ("imbalance.json", b"[]"),
    ],
)
def test_a_damaged_sample_is_the_bundles_fault(box: Box, vibration: Path, file: str, content: bytes) -> None:
    (vibration / "golden" / file).write_bytes(content)
    reason = try_bundle(read_bundle(vibration), box)
    assert reason is not None
    assert file in reason


@pytest.mark.parametrize(
    "window",
    [
        np.zeros((5, 3), np.float32),
        np.zeros((128, 2), np.float32),
        np.zeros(7, np.float32),
        np.full((128, 3), "a"),
        np.full((128, 3), np.nan, np.float32),
    ],
    ids=["short", "channels", "flat", "text", "nan"],
)
def test_a_sample_that_is_no_window_is_the_bundles_fault(box: Box, vibration: Path, window: np.ndarray) -> None:
    np.save(vibration / "golden" / "imbalance.npy", window)
    reason = try_bundle(read_bundle(vibration), box)
    assert reason is not None
    assert "imbalance.npy" in reason


def test_a_sample_that_is_no_picture_is_the_bundles_fault(tmp_path: Path, box: Box) -> None:
    folder = Path(shutil.copytree(shipped("models") / "parts", tmp_path / "parts"))
    (folder / "golden" / "belt-1.png").write_bytes(b"no picture")
    reason = try_bundle(read_bundle(folder), box)
    assert reason is not None
    assert "belt-1.png" in reason


def test_a_bundle_without_samples_has_nothing_to_prove(tmp_path: Path, box: Box) -> None:
    assert try_bundle(read_bundle(picture_bundle(tmp_path / "still")), box) is None


def test_a_file_that_does_not_fit_its_input_is_refused_when_it_is_opened(tmp_path: Path, box: Box) -> None:
    folder = sensor_bundle(tmp_path / "level")
    manifest = folder / "model.toml"
    manifest.write_text(manifest.read_text().replace("channels = 1", "channels = 3"))
    reason = try_bundle(read_bundle(folder), box)
    assert reason is not None
    assert re.search(r"fp32 on cpu: cannot .*expected", reason)


def test_a_file_with_two_inputs_is_refused(tmp_path: Path) -> None:
    tensors = [Tensor("x", (1, 64)), Tensor("z", (1, 64)), Tensor("y", (1, 64))]
    folder = sensor_bundle(tmp_path / "level")
    replace(folder, "model.tflite", tflite_model(tensors, inputs=(0, 1), outputs=(2,)))
    bundle = read_bundle(folder)
    with pytest.raises(BundleError, match=r"cannot feed model.tflite: it has 2 inputs, expected 1|cannot load"):
        open_rung(bundle, Rung(bundle.manifest.variant[0], "cpu", 1, "chosen", ""))


def test_labels_are_one_a_line(tmp_path: Path) -> None:
    parts = read_bundle(shipped("models") / "parts")
    assert read_labels(parts, parts.manifest.variant[0]) == ("washer", "nut", "bolt", "scratched", "bent")
    level = read_bundle(sensor_bundle(tmp_path / "level"))
    assert read_labels(level, level.manifest.variant[0]) == ()


def test_labels_that_are_gone_or_no_text_are_the_bundles_fault(tmp_path: Path) -> None:
    parts = read_bundle(Path(shutil.copytree(shipped("models") / "parts", tmp_path / "parts")))
    variant = parts.manifest.variant[0]
    labels = parts.folder / str(parts.output_of(variant).labels)
    labels.write_bytes(b"\xff")
    with pytest.raises(BundleError, match=r"cannot read labels .*expected a label a line"):
        read_labels(parts, variant)
    labels.unlink()
    with pytest.raises(BundleError, match=r"cannot read labels .*: No such file or directory, expected"):
        read_labels(parts, variant)
