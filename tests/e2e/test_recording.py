"""Recordings by the real daemon: what it said comes out again to the bit, and nothing that happens to them costs a result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from edgectl.cli import main
from edged.assembly.clip import Clip, read_clip
from fakes.brokers import BrokerProcess
from fakes.commander import Commander
from fakes.daemon import Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.smalldisk import small_disk
from fakes.subscriber import Document, Subscriber
from fakes.tape import conveyor
from fakes.waiting import until

pytestmark = pytest.mark.slow

PICTURES = 66
BELT = """
[[source]]
name = "belt"
kind = "images"
path = "{folder}"
fps = 12
masks = [[[0.0, 0.0], [0.2, 0.0], [0.2, 0.2], [0.0, 0.2]]]

[[pipeline]]
name = "gate"
source = "belt"
model = "parts"
pin = "small-tflite-int8"

[[pipeline.rule]]
name = "bolt"
when = {{ label = "bolt", min_score = 0.6 }}
for_s = 0.3
gap_s = 0.5
"""
"""At the pace of the video, so that a busy machine can record it all."""
RULE = 'rule = [{ name = "high", when = { min_value = 9.0 }, gap_s = 0.0 }]'
WITHIN_S = 60


def recordings(folder: Path) -> list[Clip]:
    return [read_clip(file) for file in sorted(folder.glob("*.zip"))]


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_events_of_a_video_are_recorded_and_come_out_again_to_the_bit(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, frame in enumerate(conveyor(PICTURES, first=30)):
        cv2.imwrite(str(tmp_path / f"{index:03}.png"), frame.data)
    more = '[record]\nbefore_s = 1\nafter_s = 1\nquality = "lossless"\n'
    daemon = run(write_config(tmp_path, broker.port, BELT.format(folder=tmp_path), more=more))

    assert daemon.wait() == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    published: dict[int, Document] = {one["frame"]: one for one in fleet.of("result/gate")}
    clips = recordings(tmp_path / "state" / "recordings")
    rows = [row for clip in clips for row in clip.results]
    assert len(rows) > PICTURES / 3
    for row in rows:
        assert row["detections"] == published[row["frame"]]["detections"]
    words = [(row["rule"], row["phase"], row["frame"]) for clip in clips for row in clip.events]
    assert words == [(one["rule"], one["phase"], one["frame"]) for one in fleet.of("event/gate")]
    assert {phase for _, phase, _ in words} == {"start", "end"}
    for clip in clips:
        picture = clip.frame(next(row for row in clip.inputs if row.get("file"))).data
        assert picture[:60, :100].max() == 0, "nothing masked is ever recorded"
        replayed = told(capsys, "replay", clip.place)
        assert replayed["then"]["identical"] == replayed["then"]["inputs"] > 0
        assert replayed["recording"]["exact"]


@pytest.fixture
def sensor(tmp_path: Path, broker: BrokerProcess) -> Path:
    """Give the configuration of 16 windows a second without an end, each of its own score."""
    sensor_bundle(tmp_path / "models" / "level")
    file = write_windows(tmp_path / "spindle.csv", [level / 4 for level in range(12)])
    source = csv_source(file, more='pace = "recorded"\nloop = true')
    more = "[record]\nbefore_s = 0.2\nafter_s = 0.2\nmax_bytes = 1_048_576\n"
    return write_config(tmp_path, broker.port, source + pipeline("a", more="calibrate_s = 1"), more=more)


def test_it_records_when_it_is_asked_and_a_kill_costs_only_what_is_being_written(
    fleet: Subscriber, hand: Commander, run: Run, sensor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = run(sensor)
    until(lambda: len(fleet.of("result/a")) > 3, "results", WITHIN_S)
    config = ("--config", sensor)

    (asked,) = told(capsys, "record", "now", "--seconds", "0.5", *config)["recordings"]
    assert (asked["pipeline"], asked["why"], asked["fault"]) == ("a", "asked", "")
    assert asked["counts"]["inputs"] == asked["counts"]["results"] > 5

    answer = hand.ask("record", pipeline="a", seconds="0.5")
    assert (answer["ok"], answer["result"]) == (True, {"pipelines": ["a"], "seconds": 0.5})
    folder = sensor.with_name("state") / "recordings"
    until(lambda: len(recordings(folder)) == 2, "a second recording", WITHIN_S)
    refused = hand.ask("record", pipeline="a", seconds="no")
    assert (refused["ok"], refused["code"]) == (False, "malformed")

    assert hand.ask("record", seconds="300")["ok"]
    until(lambda: list(folder.glob("*.part")), "a third begins", WITHIN_S)
    assert len(told(capsys, "record", "list", *config)["recordings"]) == 2, "what is being written is not listed"
    daemon.kill()
    listed = told(capsys, "record", "list", *config)["recordings"]
    assert ["torn" in one["fault"] for one in listed] == [False, False, True]

    before = len(fleet.of("result/a"))
    run(sensor)
    until(lambda: len(fleet.of("result/a")) > before, "results", WITHIN_S)
    (again,) = told(capsys, "record", "now", "--seconds", "0.5", *config)["recordings"]
    assert again["fault"] == ""
    replayed = told(capsys, "replay", again["file"], *("--model", sensor.with_name("models") / "level"))
    assert replayed["then"]["identical"] == replayed["then"]["inputs"] == again["counts"]["inputs"]


@pytest.fixture
def small_state(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 16) as made:
        yield made


def test_a_disk_without_room_costs_no_result_and_is_told(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path, small_state: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", [1.0] * 8 + [4.0] * 8)
    source = csv_source(recording, more='pace = "recorded"\nloop = true')
    more = "[record]\nbefore_s = 0.2\nafter_s = 0.2\n"
    config = write_config(tmp_path, broker.port, source + pipeline("a", more=RULE), state=small_state, more=more)
    run(config)

    until(lambda: "recording-failed" in fleet.codes(), "it says so", WITHIN_S)
    until(lambda: len(fleet.of("result/a")) > 30, "results go on", WITHIN_S)
    frames = [one["frame"] for one in fleet.of("result/a")]
    assert frames == list(range(len(frames)))
    assert list((small_state / "recordings").iterdir()) == []
