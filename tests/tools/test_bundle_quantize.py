"""The gate on real files, and the verbs around it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgectl.bundle import edgetpu
from edgectl.cli import main
from edged.domain.errors import BundleError, DeviceError
from edged.update.manifest import read_bundle, verify
from fakes.assetbundle import materialise
from fakes.modelfile import Tensor, tflite_model

pytest.importorskip("ai_edge_quantizer", reason="needs edged[workshop]")
pytest.importorskip("onnxconverter_common", reason="needs edged[workshop]")
pytestmark = [pytest.mark.assets, pytest.mark.slow]

SECTION = re.compile(r"(?m)^(?=\[\[variant\]\])")


def with_only(folder: Path, *names: str) -> Path:
    """Leave only some variants in a bundle, and only their files."""
    head, *sections = SECTION.split((folder / "model.toml").read_text())
    kept = [section for section in sections if any(f'id = "{name}"' in section for name in names)]
    (folder / "model.toml").write_text(head + "".join(kept))
    named = (folder / "model.toml").read_text()
    for file in folder.glob("*.*"):
        if file.name not in named and file.name != "model.toml":
            file.unlink()
    return folder


def quantize(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, dict[str, object]]]:
    status = main(["bundle", "quantize", *map(str, arguments), "--json"])
    out = capsys.readouterr().out
    return status, {row["id"]: row for row in json.loads(out)["variants"]} if out else {}


@pytest.fixture
def persons(assets: Path, tmp_path: Path) -> Path:
    return with_only(materialise("visual-wake-words", assets, tmp_path), "fp32")


@pytest.mark.parametrize(
    ("file", "state"),
    [("yolox_nano_int8", "refused"), ("yolox_nano_float16", "accepted"), ("yolox_nano_dynamic_range", "accepted")],
)
def test_the_bad_yolox_file_is_refused_and_its_brothers_are_accepted(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, state: str
) -> None:
    bundle = with_only(materialise("yolox-nano", assets, tmp_path), "fp32-onnx")
    arguments = ("--calibrate", assets / "images", "--judge", assets / "models" / f"{file}.tflite")
    status, rows = quantize(capsys, bundle, *arguments)
    assert (status, rows[file]["state"]) == (1 if state == "refused" else 0, state)
    agreement = rows[file]["agreement"]
    assert isinstance(agreement, float)
    assert agreement < 0.3 if state == "refused" else agreement > 0.95
    assert (state == "refused") == ("boxes' mean IoU 0." in str(rows[file]["fault"]))


def test_the_bad_file_puts_dog_car_and_bicycle_elsewhere(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = with_only(materialise("yolox-nano", assets, tmp_path), "fp32-onnx")
    dogs = tmp_path / "dogs"
    dogs.mkdir()
    shutil.copy(assets / "images" / "dog.jpg", dogs)
    _, rows = quantize(capsys, bundle, "--calibrate", dogs, "--judge", assets / "models" / "yolox_nano_int8.tflite")
    # 0.10 for the dog; car and bicycle keep a little more of their places.
    assert rows["yolox_nano_int8"]["agreement"] == pytest.approx(0.19, abs=0.03)


def test_variants_that_pass_are_written_and_verified(
    persons: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows = quantize(capsys, persons, "--calibrate", assets / "images")
    assert (status, [row["state"] for row in rows.values()]) == (0, ["reference", "written", "written", "written"])
    bundle = read_bundle(persons)
    assert verify(bundle) == []
    assert [one.id for one in bundle.manifest.variant] == ["fp32", "int8", "dynamic", "fp16"]
    assert main(["bundle", "verify", str(persons), "--samples", str(assets / "images")]) == 0
    assert "1.000 of fp32" in capsys.readouterr().out
    assert persons.with_name("visual-wake-words.variants.png").read_bytes().startswith(b"\x89PNG")


def test_two_sizes_of_a_network_get_a_variant_each(
    persons: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (persons / "model.toml").read_text().replace('id = "fp32"', 'id = "large"')
    section = text[text.index("[[variant]]") :].replace('"large"', '"small"').replace("vww_96_float", "small")
    shutil.copy(persons / "vww_96_float.tflite", persons / "small.tflite")
    (persons / "model.toml").write_text(f"{text}\n{section}")
    status, rows = quantize(capsys, persons, "--calibrate", assets / "images")
    precisions = ("int8", "dynamic", "fp16")
    assert (status, set(rows) - {"large", "small"}) == (
        0,
        {f"{size}-{p}" for size in ("large", "small") for p in precisions},
    )
    assert verify(read_bundle(persons)) == []


def test_two_runs_write_the_same_bytes(
    persons: Path, assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in ("one", "two"):
        assert quantize(capsys, persons, "--calibrate", assets / "images", "--out", tmp_path / out)[0] == 0
    files = [{file.name: file.read_bytes() for file in (tmp_path / out).iterdir()} for out in ("one", "two")]
    assert len(files[0]) == 6
    assert files[0] == files[1]
    assert len(read_bundle(persons).manifest.variant) == 1


def test_what_is_there_is_judged_and_left_alone(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    persons = materialise("visual-wake-words", assets, tmp_path)
    before = (persons / "vww_96_int8.tflite").read_bytes()
    status, rows = quantize(capsys, persons, "--calibrate", assets / "images")
    assert (status, rows["int8"]["state"]) == (0, "present")
    assert (persons / "vww_96_int8.tflite").read_bytes() == before


def test_a_variant_that_fails_is_not_written_and_its_figure_is_told(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgectl.bundle.search.MOST_KEPT", 0.0)  # no layer may stay in float
    face = materialise("face-slim", assets, tmp_path)
    status, rows = quantize(capsys, face, "--calibrate", assets / "images")
    assert (status, rows["int8"]["state"], rows["fp16"]["state"]) == (0, "refused", "written")
    assert re.match(r"boxes' mean IoU 0\.8\d+, expected at least 0\.9", str(rows["int8"]["fault"]))
    assert [one.id for one in read_bundle(face).manifest.variant] == ["fp32", "fp16"]
    assert not list(face.glob("*int8*"))


def test_the_search_finds_layers_to_keep_in_float(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    face = materialise("face-slim", assets, tmp_path)
    _, rows = quantize(capsys, face, "--calibrate", assets / "images")
    kept, tries = rows["int8"]["kept_in_float"], rows["int8"]["tries"]
    assert rows["int8"]["state"] == "written"
    assert isinstance(kept, list)
    assert isinstance(tries, int)
    assert kept
    assert 1 < tries <= 9


def test_samples_that_show_nothing_are_refused(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    face = materialise("face-slim", assets, tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(assets / "images" / "orange.png", empty)
    assert main(["bundle", "quantize", str(face), "--calibrate", str(empty)]) == 2
    assert "the float reference finds nothing sure on any of 1" in capsys.readouterr().err


def test_class_folders_tell_the_truth_and_give_the_manifest_an_accuracy(
    persons: Path, assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = (persons / "labels.txt").read_text().split("\n")
    for label, names in zip(
        labels[:2], (("cat_720p.jpg", "orange.png"), ("squat.bmp", "test_couple.jpg")), strict=True
    ):
        (tmp_path / "known" / label).mkdir(parents=True)
        for name in names:
            shutil.copy(assets / "images" / name, tmp_path / "known" / label)
    _, rows = quantize(capsys, persons, "--calibrate", tmp_path / "known")
    assert rows["int8"]["accuracy"] == {"metric": "top-1", "value": 1.0}
    figures = [one.accuracy for one in read_bundle(persons).manifest.variant if one.id == "int8"]
    assert [(figure.metric, figure.on, figure.value) for figure in figures if figure] == [("top-1", "known", 1.0)]


def test_a_folder_without_manifest_says_what_to_do_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "quantize", str(tmp_path), "--calibrate", str(tmp_path)]) == 2
    assert "make one of a model file first: edgectl bundle new FILE" in capsys.readouterr().err


def test_a_person_sees_what_is_being_done_and_then_a_table_of_every_variant(
    persons: Path, assets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    @contextmanager
    def noted(*, quiet: bool) -> Iterator[Callable[[str], None]]:
        assert not quiet
        yield told.append

    monkeypatch.setattr("edgectl.bundle.terminal.progress", noted)
    assert main(["bundle", "quantize", str(persons), "--calibrate", str(assets / "images")]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("fp32", "int8", "dynamic", "fp16", "agreement", "plot:"))
    assert [line.partition(":")[0] for line in told] == ["fp32", "int8", "dynamic", "fp16"]


STAND_IN = """#!/bin/sh
# edgetpu_compiler -s -o FOLDER FILE
name=$(basename "$4" .tflite)
cp {compiled} "$3/${{name}}_edgetpu.tflite"
echo "Model compiled successfully in 7 ms!"
echo "Number of operations that will run on Edge TPU: 30"
echo "Number of operations that will run on CPU: 1"
"""


def install(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / edgetpu.COMPILER
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_int8_file_goes_through_the_compiler_where_there_is_one(
    persons: Path, assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = assets / "models" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    install(tmp_path / "bin", STAND_IN.format(compiled=compiled), monkeypatch)
    status, _ = quantize(capsys, persons, "--calibrate", assets / "images", "--edgetpu")
    bundle = read_bundle(persons)
    (made,) = (one for one in bundle.manifest.variant if one.id == "int8-edgetpu")
    assert (status, made.accelerators, made.precision) == (0, ("edgetpu",), "int8")
    assert (
        "# compiled from int8, whose figures it has; 30 operators on the Edge TPU, 1 on the CPU"
        in (persons / "model.toml").read_text()
    )
    assert verify(bundle) == []


def test_a_bundle_that_has_its_int8_file_already_gets_the_compiled_one_too_and_once(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    persons = materialise("visual-wake-words", assets, tmp_path)
    compiled = assets / "models" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    install(tmp_path / "bin", STAND_IN.format(compiled=compiled), monkeypatch)
    (persons / "vww_96_int8_edgetpu.tflite").write_bytes(b"somebody's")
    few = tmp_path / "few"
    few.mkdir()
    for name in ("squat.bmp", "cat_720p.jpg", "test_couple.jpg"):
        shutil.copy(assets / "images" / name, few)
    status, rows = quantize(capsys, persons, "--calibrate", few, "--edgetpu")
    assert (status, rows["int8"]["state"], rows["int8-edgetpu"]["state"]) == (0, "present", "written")
    (made,) = (one for one in read_bundle(persons).manifest.variant if one.id == "int8-edgetpu")
    assert (made.file, made.accelerators) == ("vww_96_int8_edgetpu-2.tflite", ("edgetpu",))
    assert (persons / "vww_96_int8_edgetpu.tflite").read_bytes() == b"somebody's"
    assert quantize(capsys, persons, "--calibrate", few, "--edgetpu")[1]["int8-edgetpu"]["state"] == "present"


def test_when_the_compiler_refuses_the_others_are_written_and_it_is_said(
    persons: Path, assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "bin", "#!/bin/sh\necho 'Model not quantized'\nexit 1\n", monkeypatch)
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(assets / "images" / "squat.bmp", few)
    status, rows = quantize(capsys, persons, "--calibrate", few, "--edgetpu")
    assert (status, rows["int8"]["state"], rows["int8-edgetpu"]["state"]) == (0, "written", "refused")
    assert "Model not quantized" in str(rows["int8-edgetpu"]["fault"])
    assert "int8-edgetpu" not in [one.id for one in read_bundle(persons).manifest.variant]


def test_a_bundle_that_nothing_can_be_compiled_of_is_refused_before_anything_is_made(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "bin", "#!/bin/sh\nexit 1\n", monkeypatch)
    face = with_only(materialise("yolox-nano", assets, tmp_path), "fp32-onnx")
    assert main(["bundle", "quantize", str(face), "--calibrate", str(assets / "images"), "--edgetpu"]) == 1
    assert "it holds no fp32 TFLite variant, expected one" in capsys.readouterr().err


def test_judging_compiles_nothing_and_says_so(persons: Path, assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = ("--judge", str(persons / "vww_96_float.tflite"), "--edgetpu")
    assert main(["bundle", "quantize", str(persons), "--calibrate", str(assets / "images"), *judged]) == 2
    assert "cannot use --edgetpu with --judge" in capsys.readouterr().err


def test_without_the_compiler_nothing_is_begun_and_it_is_said_where_to_get_it(
    persons: Path, assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["bundle", "quantize", str(persons), "--calibrate", str(assets / "images"), "--edgetpu"]) == 1
    error = capsys.readouterr().err
    assert "edgetpu_compiler is not on PATH" in error
    assert "https://coral.ai/docs/edgetpu/compiler/" in error
    assert error.count("\n") == 1
    assert len(read_bundle(persons).manifest.variant) == 1


def test_a_compiler_that_refuses_is_told_in_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "bin", "#!/bin/sh\necho 'Model not quantized'\nexit 1\n", monkeypatch)
    with pytest.raises(BundleError, match=r"cannot compile x.tflite for the Edge TPU: Model not quantized, expected"):
        edgetpu.compile_file(edgetpu.find_compiler(), tmp_path / "x.tflite", tmp_path)


def test_a_compiler_that_takes_nothing_to_the_tpu_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(tflite_model((Tensor("x", (1, 4)), Tensor("y", (1, 4))), inputs=(0,), outputs=(1,)))
    install(tmp_path / "bin", STAND_IN.format(compiled=plain), monkeypatch)
    with pytest.raises(BundleError, match="took none of its operators to the Edge TPU"):
        edgetpu.compile_file(edgetpu.find_compiler(), tmp_path / "x.tflite", tmp_path)


def test_no_compiler_is_the_devices_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match="not on PATH"):
        edgetpu.find_compiler()
