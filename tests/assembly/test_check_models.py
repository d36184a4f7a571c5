"""What a pipeline asks of models that cannot answer it is told before it runs: it would never say anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.assembly.check import check_all
from fakes.daemon import write_config
from fakes.recording import write_video
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows

ZONE = "zone = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]"


def camera_and_sensor(folder: Path) -> str:
    write_video(folder / "belt.mp4", frames=2)
    sensor_bundle(folder / "models" / "level")
    write_windows(folder / "spindle.csv", [1.0])
    belt = f'[[source]]\nname = "belt"\nkind = "file"\npath = "{folder / "belt.mp4"}"\n'
    return belt + csv_source(folder / "spindle.csv")


def rule(when: str, more: str = "") -> str:
    return f'rule = [{{ name = "r", when = {{ {when} }}{more} }}]'


def then(model: str, on: str = "") -> str:
    return f'then = [{{ model = "{model}", on = {{ {on} }} }}]'


def objects(more: str) -> str:
    return pipeline("p", source="belt", model="parts", more=more)


def states(more: str) -> str:
    return pipeline("p", source="belt", model="camera-health", more=more)


def levels(more: str) -> str:
    return pipeline("p", model="level", more=more)


@pytest.mark.parametrize(
    ("body", "key", "words"),
    [
        (objects(rule('label = "blot"')), "rule.r.when.label", "'blot' among those of 'parts': did you mean 'bolt'?"),
        (objects(rule("min_value = 0.5")), "rule.r.when.min_value", "its task is detection, expected anomaly or"),
        (objects(rule("anomaly = true")), "rule.r.when.anomaly", "its task is detection, expected anomaly"),
        (objects("calibrate_s = 10"), "calibrate_s", "it learns nothing on site"),
        (objects(then("camera-health", 'label = "blot"')), "then.camera-health.on.label", "did you mean 'bolt'?"),
        (objects(then("camera-healt")), "then.camera-healt", "did you mean 'camera-health'?"),
        (objects(then("level")), "then.level", "cannot show pictures to 'level'"),
        (
            objects(then("camera-health") + "\n" + rule('then = { model = "camera-health", label = "oke" }')),
            "rule.r.when.then.label",
            "cannot find label 'oke' among those of 'camera-health'",
        ),
        (
            states(rule(f'label = "ok", {ZONE}')),
            "rule.r.when.zone",
            "its task is classification, expected detection or",
        ),
        (states("track = true"), "track", "its task is classification, expected detection"),
        (states(then("parts")), "then", "its task is classification, expected detection"),
        (
            levels(rule("anomaly = true", ', snapshot = "local"')),
            "rule.r.snapshot",
            "cannot take pictures of 'spindle'",
        ),
        (levels(rule("min_score = 0.5")), "rule.r.when.min_score", "its task is anomaly, expected classification or"),
        (pipeline("p", source="belt", model="level"), "model", "cannot give pictures of 'belt' to 'level'"),
        (pipeline("p", model="parts"), "model", "cannot give samples of 'spindle' to 'parts'"),
        (pipeline("p", model="vibration"), "model", "cannot give 1 channels of 'spindle' to 'vibration', expected 3"),
    ],
)
def test_what_a_model_cannot_answer_is_told(tmp_path: Path, body: str, key: str, words: str) -> None:
    report = check_all(write_config(tmp_path, 1883, camera_and_sensor(tmp_path) + body))
    found = {fault.key: fault for fault in (*report.configuration, *report.faults)}
    assert set(found) == {f"pipeline.p.{key}"}
    fault = found[f"pipeline.p.{key}"]
    assert words in fault.message
    assert fault.pipeline == "p"


@pytest.mark.parametrize(
    "body",
    [
        objects(f"track = true\n{then('camera-health')}\n" + rule(f'label = "bolt", min_score = 0.6, {ZONE}')),
        objects(
            f"{then('camera-health')}\n"
            + rule('then = { model = "camera-health", label = "ok" }', ', snapshot = "mqtt"')
        ),
        states(rule('label = "ok", min_score = 0.5')),
        levels(rule("anomaly = true")),
        levels(rule("min_value = 3.0")),
        pipeline("p", model="level"),
    ],
)
def test_what_it_can_answer_is_no_fault(tmp_path: Path, body: str) -> None:
    report = check_all(write_config(tmp_path, 1883, camera_and_sensor(tmp_path) + body))
    assert list(report.lines()) == [f"ok: {tmp_path / 'edged.toml'}"]


def test_a_further_models_damage_is_told_with_its_folder(tmp_path: Path) -> None:
    body = camera_and_sensor(tmp_path) + objects(then("level"))
    weights = tmp_path / "models" / "level" / "model.tflite"
    weights.write_bytes(weights.read_bytes()[:-1])
    faults = check_all(write_config(tmp_path, 1883, body)).faults
    assert [fault.file for fault in faults if "truncated or altered" in fault.message] == [
        tmp_path / "models" / "level"
    ]
