"""``edgectl replay`` at the terminal: what a box said, said again, and another model beside it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgectl.cli import main
from edged.assembly.box import survey
from edged.assembly.models import Opened, open_best
from edged.config.share import shipped
from edged.update.manifest import read_bundle
from fakes.assetbundle import materialise
from fakes.sensor import sensor_bundle
from fakes.tape import conveyor, record, stamped

SENSOR = {"name": "a", "source": "s", "model": "level", "rule": [{"name": "high", "when": {"anomaly": True}}]}


def opened(folder: Path, variant: str | None = None) -> Opened:
    return open_best(read_bundle(folder), survey(Path("/"), "auto", ()), variant)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give two seconds of the conveyor, as the large network saw them."""
    folder = tmp_path_factory.mktemp("clip")
    return record(folder, conveyor(24, first=96), opened(shipped("models") / "parts", "large-tflite-int8"))


@pytest.fixture
def sensor(tmp_path: Path) -> tuple[Path, Path]:
    """Give a configuration whose folders of models hold the sensor's two versions, and a recording of it."""
    first = sensor_bundle(tmp_path / "models" / "level", threshold=10.0)
    sensor_bundle(tmp_path / "models" / "level-2", version="2.0.0", threshold=3.0)
    levels = [1.0, 2.0, 4.0] * 5
    frames = [stamped(np.full((64, 1), -level, np.float32), index, 10.0) for index, level in enumerate(levels)]
    config = tmp_path / "edged.toml"
    config.write_text(f'[device]\nid = "desk"\n[models]\ndirectories = ["{tmp_path / "models"}"]\n')
    return config, record(tmp_path / "r", frames, opened(first), SENSOR)


def test_the_same_model_says_the_same_to_the_digit(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(clip)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("gate on press-07, 1.9 s from 2027-01-15T08:00:08.000Z")
    assert lines[1] == "24 inputs, to the bit what the model was shown"
    assert lines[3].startswith("now: parts 2.0.0 large-tflite-int8 (litert on cpu), 24 results, ")
    assert lines[5] == "what the box said then: 24 of 24 results are the same to the digit"
    assert len(lines) == 6


def test_another_model_beside_it_is_told_by_class_and_drawn(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["replay", str(clip), "--against", "parts:small-tflite-int8", "--out", str(tmp_path / "o"), "--json"]) == 0
    )
    captured = capsys.readouterr()
    told = json.loads(captured.out)

    assert told["schema"] == "edged.replay/1"
    assert (told["then"]["identical"], told["then"]["inputs"]) == (24, 24)
    assert told["replayed"]["model"]["variant"] == "large-tflite-int8"
    versus = told["against"]
    assert versus["model"]["variant"] == "small-tflite-int8"
    assert versus["inputs"] == 24
    assert 0 < len(versus["differences"]) < 24
    assert versus["same"] == 24 - len(versus["differences"])
    assert {row["label"] for row in versus["classes"]} >= {"bolt", "washer"}
    assert all(row["frame"] == 96 + row["input"] for row in versus["differences"])
    assert told["replayed"]["latency_ms"]["p50"] > 0
    assert json.loads((tmp_path / "o" / "report.json").read_text()) == {
        key: value for key, value in told.items() if key != "files"
    }
    assert [Path(file).name for file in told["files"]] == [
        "report.json",
        "results.ndjson",
        "events.ndjson",
        "against-results.ndjson",
        "against-events.ndjson",
        "disagreements.png",
    ]
    sheet = cv2.imread(str(tmp_path / "o" / "disagreements.png"))
    assert sheet is not None
    colours = {tuple(colour) for colour in np.unique(sheet.reshape(-1, 3)[:, ::-1], axis=0).tolist()}
    assert {(0xFF, 0x9F, 0x1C), (0x4C, 0xC9, 0xF0)} & colours


def test_the_screen_names_what_they_disagree_on(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(clip), "--against", "parts:small-tflite-int8"]) == 0
    said = capsys.readouterr().out
    assert "A and B say the same of " in said
    assert "score B over A" in said
    assert "frame 1" in said


def test_a_sensors_versions_are_drawn_along_time(
    sensor: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, clip = sensor
    shutil.move(tmp_path / "models" / "level-2", tmp_path / "two")
    arguments = ["replay", str(clip), "--model", str(tmp_path / "models" / "level"), "--against", str(tmp_path / "two")]
    assert main([*arguments, "--out", str(tmp_path / "o"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in told["against"]["differences"]] == [["A: normal 0.40", "B: anomaly 1.33"]] * 5
    assert cv2.imread(str(tmp_path / "o" / "scores.png")) is not None
    assert config.exists()


def test_a_version_is_named_behind_the_name(
    sensor: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, clip = sensor
    config.write_text(
        config.read_text()
        + '[[source]]\nname = "s"\nkind = "csv"\npath = "/absent.csv"\ncolumns = ["x"]\nrate_hz = 10.0\n'
        '[[pipeline]]\nname = "a"\nsource = "s"\nmodel = "level"\n'
        'rule = [{ name = "low", when = { max_value = 2.0 }, gap_s = 0.0 }]\n'
    )
    assert main(["replay", str(clip), "--config", str(config), "--model", "level@2.0.0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["replayed"]["model"]["version"] == "2.0.0"
    assert {event["rule"] for event in told["replayed"]["events"]} == {"low"}
    assert {event["rule"] for event in told["then"]["events"]["only_then"]} == {"high"}
    assert tmp_path.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--model", "partz"), 1, "cannot find model 'partz': there are "),
        (("--model", "parts@9.9.9"), 1, "cannot find model 'parts@9.9.9': there are parts@2.0.0"),
        (("--model", "parts:int9"), 1, "cannot use variant 'int9' of parts: it has large-tflite-fp32"),
        (("--against", "vibration"), 2, "it takes windows, and the recording holds pictures"),
        (("--against", "camera-health"), 2, "cannot compare Detections with "),
        (("--model", "./absent/"), 2, "cannot find bundle"),
        (("--out", "/proc/absent"), 2, "cannot write to /proc/absent"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_the_next_step(
    clip: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, said: str
) -> None:
    assert main(["replay", str(clip), *arguments]) == status
    captured = capsys.readouterr()
    told = [line for line in captured.err.splitlines() if line.startswith("edgectl: ")]
    assert len(told) == 1
    assert said in told[0]
    assert captured.out == ""


def test_a_model_that_is_not_here_is_asked_for(sensor: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, clip = sensor
    assert main(["replay", str(clip)]) == 1
    said = capsys.readouterr().err
    assert "it was recorded with level 1.0.0, and of level this machine has none" in said
    assert "--model FOLDER" in said


def test_a_recording_that_is_none_is_the_requests_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    with zipfile.ZipFile(tmp_path / "a.zip") as empty:
        assert empty.namelist() == []
    assert main(["replay", str(tmp_path / "a.zip")]) == 2
    assert "copy it again" in capsys.readouterr().err


def test_settings_that_this_version_does_not_know_are_told(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(clip) as archive:
        archive.extractall(tmp_path / "later")
    manifest = tmp_path / "later" / "manifest.json"
    told = json.loads(manifest.read_text())
    told["config"]["pipeline"]["hue"] = 3
    manifest.write_text(json.dumps(told))
    assert main(["replay", str(tmp_path / "later")]) == 2
    said = capsys.readouterr().err
    assert "cannot use the recorded settings of pipeline 'gate': hue: " in said
    assert "--config" in said


@pytest.mark.assets
@pytest.mark.slow
def test_another_detector_altogether_is_held_against_the_one_that_ran(
    assets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("yolox-nano", "ssd-mobilenet-v1"):
        materialise(name, assets, tmp_path / "models")
    video = cv2.VideoCapture(str(assets / "video" / "one-by-one-person-detection.mp4"))
    frames = []
    for index in range(120):
        picture = video.read()[1]
        if index % 12 == 0:
            frames.append(stamped(picture, index, 10.0))
    video.release()
    settings = {
        "name": "gate",
        "source": "dock",
        "model": "yolox-nano",
        "track": True,
        "rule": [{"name": "person", "when": {"label": "person", "min_score": 0.4}, "gap_s": 2.0}],
    }
    models = tmp_path / "models"
    file = record(tmp_path / "r", frames, opened(models / "yolox-nano", "fp32-onnx"), settings)

    arguments = ["--model", f"{models / 'yolox-nano'}:fp32-onnx", "--against", str(models / "ssd-mobilenet-v1")]
    assert main(["replay", str(file), *arguments, "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["then"]["identical"] == told["then"]["inputs"] == 10
    assert told["then"]["events"] == {"only_then": [], "only_now": []}
    person = next(row for row in told["against"]["classes"] if row["label"] == "person")
    assert person["ours"] >= 4
    assert person["both"] >= person["ours"] - 1


def rewritten(clip: Path, to: Path, member: str, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """Give a recording with other rows in one of its members."""
    with zipfile.ZipFile(clip) as source, zipfile.ZipFile(to, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == member:
                rows = [json.loads(line) for line in content.splitlines()]
                change(rows)
                content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
            target.writestr(name, content)
    return to


def test_a_model_that_changed_within_the_recording_is_told(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def update(rows: list[dict[str, Any]]) -> None:
        for row in rows[20:]:
            row["model"] |= {"version": "3.0.0"}

    assert main(["replay", str(rewritten(clip, tmp_path / "a.zip", "results.ndjson", update))]) == 0
    assert (
        "the box changed models meanwhile: of 24 results 4 of parts 3.0.0 large-tflite-int8" in capsys.readouterr().out
    )


@pytest.mark.parametrize("item", [{"label": []}, {"score": "high"}, {"box": [0.0]}, {"box": None}])
def test_an_answer_that_no_decoder_gives_is_the_recordings_fault(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], item: dict[str, Any]
) -> None:
    def spoil(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["detections"] = [{**one, **item} for one in row["detections"]]

    assert main(["replay", str(rewritten(clip, tmp_path / "a.zip", "results.ndjson", spoil))]) == 2
    assert "cannot read what the box said in " in capsys.readouterr().err
