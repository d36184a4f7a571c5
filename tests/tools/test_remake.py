"""What ``make models`` says of a bundle that was made again."""

from __future__ import annotations

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from edged.config.share import shipped
from edged.domain.errors import ConfigError
from edged.domain.result import Anomaly, Classes, ClassScore, Detection, Detections, Output, Values

SCRIPT = Path(__file__).parents[2] / "tools" / "remake.py"
PRODUCER = b"\x12\x04else"
"""ModelProto's field 2, producer_name: of a field that stands twice the last one counts, so this changes bytes and no answer."""


def loaded() -> ModuleType:
    spec = spec_from_file_location("remake", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


remake = loaded()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A shipped bundle with its ONNX files alone."""
    folder = tmp_path / "kept" / "sensor-forecast"
    shutil.copytree(shipped("models") / "sensor-forecast", folder, ignore=shutil.ignore_patterns("*.py", "*.png"))
    head, *variants = (folder / "model.toml").read_text().split("[[variant]]")
    text = "[[variant]]".join([head, *(one for one in variants if 'runtime = "onnx"' in one)])
    (folder / "model.toml").write_text(text)
    return folder


@pytest.fixture
def made(kept: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "made" / "sensor-forecast"
    shutil.copytree(kept, folder)
    return folder


def line(kept: Path, made: Path, file: str) -> object:
    return {one.file: one for one in remake.compare(kept, made)}[f"sensor-forecast/{file}"]


def test_the_same_files_are_told_as_the_same(kept: Path, made: Path) -> None:
    lines = remake.compare(kept, made)
    assert [one.file.rpartition("/")[2] for one in lines] == ["fp32.onnx", "int8.onnx", "fp16.onnx"]
    assert {(one.is_same, one.difference, one.fault) for one in lines} == {(True, 0.0, "")}
    assert lines[0].cells()[3:5] == ("same bytes", "0")


def test_other_bytes_that_answer_the_same_are_no_fault(kept: Path, made: Path) -> None:
    with (made / "fp32.onnx").open("ab") as file:
        file.write(PRODUCER)
    one = line(kept, made, "fp32.onnx")
    assert (one.is_same, one.bytes_made - one.bytes_kept) == (False, len(PRODUCER))
    assert (one.difference, one.parity, one.fault) == (0.0, 1.0, "")


def test_another_precision_differs_a_little_and_passes_the_gate(kept: Path, made: Path) -> None:
    shutil.copy(made / "fp16.onnx", made / "fp32.onnx")
    one = line(kept, made, "fp32.onnx")
    assert 0 < one.difference < 0.05
    assert (one.parity, one.fault) == (1.0, "")


def test_a_file_that_says_something_else_is_a_fault(kept: Path, made: Path) -> None:
    file = made / "fp32.onnx"
    content = file.read_bytes()
    # The largest runs of the file are its weights.
    middle = len(content) // 2
    file.write_bytes(content[: middle - 2048] + bytes(4096) + content[middle + 2048 :])
    one = line(kept, made, "fp32.onnx")
    assert one.difference > 0.05
    assert one.fault.startswith("sensor-forecast/fp32.onnx: ")
    assert "expected at least 0.98" in one.fault


def test_the_same_file_under_another_manifest_is_asked_anew(kept: Path, made: Path) -> None:
    text = (made / "model.toml").read_text()
    (made / "model.toml").write_text(text.replace("std = [", "std = [1"))
    one = line(kept, made, "fp32.onnx")
    assert one.is_same
    assert "expected at least 0.98" in one.fault


def test_what_the_recipe_did_not_write_is_a_fault(kept: Path, made: Path) -> None:
    (made / "int8.onnx").unlink()
    one = line(kept, made, "int8.onnx")
    assert (one.bytes_made, one.difference) == (None, None)
    assert one.fault == "sensor-forecast/int8.onnx: it was not made: its recipe did not write it"


def test_a_bundle_that_was_not_made_is_a_fault_of_each_file(kept: Path, tmp_path: Path) -> None:
    lines = remake.compare(kept, tmp_path / "nothing")
    assert [one.cells()[3] for one in lines] == ["not made"] * 3
    assert all("cannot read" in one.fault for one in lines)


def test_a_file_that_does_not_open_is_a_fault(kept: Path, made: Path) -> None:
    (made / "fp16.onnx").write_bytes(b"short")
    one = line(kept, made, "fp16.onnx")
    assert one.difference is None
    assert one.fault.startswith("sensor-forecast/fp16.onnx: cannot ")


def boxes(*items: tuple[float, float]) -> Detections:
    return Detections(tuple(Detection("nut", score, (x, 0.1, x + 0.2, 0.3)) for x, score in items))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Anomaly(1.5, 1.0), Anomaly(1.2, 1.0), 0.3),
        (Classes((ClassScore("a", 0.9),)), Classes((ClassScore("a", 0.8), ClassScore("b", 0.2))), 0.2),
        (Classes(()), Classes(()), 0.0),
        (boxes((0.1, 0.9)), boxes((0.11, 0.8)), 0.1),
        (boxes((0.1, 0.9)), boxes((0.6, 0.8)), 0.9),
        (boxes(), boxes((0.6, 0.8)), 0.8),
    ],
)
def test_the_worst_score_counts_and_what_one_alone_tells_counts_whole(
    one: Output, other: Output, expected: float
) -> None:
    assert remake.difference(one, other) == pytest.approx(expected)


def test_answers_that_no_shipped_model_gives_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot compare Values with Values"):
        remake.difference(Values(()), Values(()))


def test_an_unknown_bundle_is_refused_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(SCRIPT.parents[1])
    monkeypatch.setattr(sys, "argv", ["remake.py", "vibrations"])
    with pytest.raises(SystemExit, match="2"):
        remake.main()
    assert "cannot make vibrations again: no such bundle, expected some of" in capsys.readouterr().err


@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_a_python_that_cannot_make_the_environment_is_refused(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        remake.make_environment(python)
    told = capsys.readouterr().err
    assert (
        told
        == f"cannot make the models again with {python}: expected Python 3.11 or newer with venv; name it with PYTHON=\n"
    )
