from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgectl.cli import main
from edged.update.manifest import sha256_of
from fakes.assetbundle import materialise

pytest.importorskip("onnx", reason="needs edged[workshop]")
pytestmark = [pytest.mark.assets, pytest.mark.slow]

ANSWER = '{{"classes": [{{"label": "{label}", "score": {score}}}]}}'


@pytest.fixture
def persons(assets: Path, tmp_path: Path) -> Path:
    """Two variants and one golden sample, a picture of a person."""
    folder = materialise("visual-wake-words", assets, tmp_path)
    answer(folder, "person", 0.955)
    shutil.copy(assets / "images" / "squat.bmp", folder / "golden")
    text = (folder / "model.toml").read_text().replace("[[variant]]", '[golden]\nsamples = "golden/"\n\n[[variant]]', 1)
    (folder / "model.toml").write_text(text)
    return folder


def answer(folder: Path, label: str, score: float) -> None:
    (folder / "golden").mkdir(exist_ok=True)
    (folder / "golden" / "squat.json").write_text(ANSWER.format(label=label, score=score))


def verified(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object]]:
    status = main(["bundle", "verify", *map(str, arguments), "--json"])
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return status, document


def test_a_whole_bundle_passes_in_its_folder_and_packed(
    persons: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "pack", str(persons), "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    in_folder = verified(capsys, persons)
    assert verified(capsys, tmp_path / "visual-wake-words-1.0.0.edgemodel") == in_folder
    assert (in_folder[0], in_folder[1]["ok"]) == (0, True)
    lines = [{"state": "ok", "golden": "same", "fault": ""}] * 2
    assert [{key: line[key] for key in lines[0]} for line in in_folder[1]["variants"]] == lines  # type: ignore[attr-defined]


def test_every_fault_is_told_at_once(persons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (persons / "vww_96_int8.tflite").write_bytes(b"short")
    (persons / "stray.bin").write_bytes(b"x")
    answer(persons, "person", 0.2)
    status, document = verified(capsys, persons)
    faults = document["faults"]
    assert isinstance(faults, list)
    assert (status, len(faults)) == (1, 3)
    assert "truncated or altered" in faults[0]
    assert "'stray.bin': model.toml does not name it" in faults[1]
    assert faults[2].startswith("fp32: golden sample squat.bmp: person scores 0.9")


def test_a_variant_that_says_something_else_than_its_reference_is_a_fault(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = materialise("yolox-nano", assets, tmp_path)
    shutil.copy(assets / "models" / "yolox_nano_int8.tflite", folder)
    digest = sha256_of(folder / "yolox_nano_int8.tflite")
    section = f'\n[[variant]]\nid = "int8"\nfile = "yolox_nano_int8.tflite"\nsha256 = "{digest}"\nruntime = "tflite"\n'
    text = (folder / "model.toml").read_text() + section + 'precision = "int8"\nlayout = "nchw"\n'
    (folder / "model.toml").write_text(text)
    assert main(["bundle", "verify", str(folder), "--samples", str(assets / "images")]) == 1
    out = capsys.readouterr().out
    assert "fault: int8: against fp32-onnx: boxes' mean IoU 0.198, expected at least 0.9" in out
    assert out.count("fault:") == 1


def test_what_this_machine_cannot_run_is_no_fault(
    persons: Path, assets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    shutil.copy(assets / "models" / name, persons)
    section = (
        f'\n[[variant]]\nid = "tpu"\nfile = "{name}"\nsha256 = "{sha256_of(persons / name)}"\nruntime = "tflite"\n'
    )
    text = (persons / "model.toml").read_text() + section + 'accelerators = ["edgetpu"]\nprecision = "int8"\n'
    (persons / "model.toml").write_text(text)
    status, document = verified(capsys, persons)
    line = document["variants"][2]  # type: ignore[index]
    assert (status, line["state"], line["fault"]) == (0, "not run here", "needs edgetpu")


def test_show_tells_what_each_file_is(persons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", str(persons), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    int8, fp32 = document["variants"]
    assert document["manifest"]["name"] == "visual-wake-words"
    assert int8["inputs"][0]["shape"] == [1, 96, 96, 3]
    assert int8["inputs"][0]["quantization"]["zero_point"] == -128
    assert (fp32["bytes"], fp32["operators"]["CONV_2D"], fp32["fault"]) == (866284, 14, "")


def test_show_keeps_to_one_line_a_variant_when_piped(persons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", str(persons)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "visual-wake-words 1.0.0: classification, Apache-2.0"
    assert sum("1x96x96x3 int8 q(0.003922, -128)" in line for line in lines) == 1


def test_show_tells_why_a_file_does_not_open(persons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (persons / "vww_96_int8.tflite").write_bytes(b"short")
    assert main(["bundle", "show", str(persons), "--json"]) == 0
    int8 = json.loads(capsys.readouterr().out)["variants"][0]
    assert int8["bytes"] == 5
    assert "carry no identifier TFL3" in int8["fault"]
