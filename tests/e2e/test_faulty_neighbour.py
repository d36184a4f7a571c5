"""Pipelines that read one source: what one of them meets is none of the others' trouble."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, write_config
from fakes.sensor import csv_source, picture_bundle, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow

WINDOWS = 100
TOO_LARGE = 1e30
"""Its square is no finite number any more: an engine that answers so is taken for broken."""


def test_a_pipeline_that_fails_at_every_window_holds_up_none_of_the_others(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    scaled = sensor_bundle(tmp_path / "models" / "scaled", name="scaled", golden=4e-60) / "model.toml"
    scaled.write_text(scaled.read_text().replace("channels = 1\n", "channels = 1\nstd = [1e30]\n"))
    recording = write_windows(tmp_path / "spindle.csv", [TOO_LARGE] * WINDOWS)
    body = csv_source(recording) + pipeline("fails") + pipeline("good", model="scaled")

    daemon = run(write_config(tmp_path, broker.port, body))

    until(lambda: len(fleet.of("result/good")) == WINDOWS, "every result of the good one")
    until(lambda: "cannot decode" in fleet.reason("fails"), "the reason")
    assert numbers(fleet.of("result/good")) == list(range(1, WINDOWS + 1))
    assert {result["status"] for result in fleet.of("result/fails")} == {"unknown"}
    assert {result["reason"] for result in fleet.of("result/fails")} == {"engine-lost"}
    assert daemon.stop()[0] == 0


def test_a_model_of_pictures_on_a_sensor_is_told_and_the_sensors_others_run_on(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    picture_bundle(tmp_path / "models" / "still")
    recording = write_windows(tmp_path / "spindle.csv", range(WINDOWS))
    body = csv_source(recording) + pipeline("wrong", model="still") + pipeline("good")

    daemon = run(write_config(tmp_path, broker.port, body))

    until(lambda: len(fleet.of("result/good")) == WINDOWS, "every result of the good one")
    until(lambda: "cannot give samples" in fleet.reason("wrong"), "the reason")
    assert not daemon.ended
    assert daemon.stop()[0] == 0
