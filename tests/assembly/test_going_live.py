"""A release goes live under a pipeline that runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edged.assembly.box import survey
from edged.assembly.going_live import GoingLive, InterruptedWaitError
from edged.assembly.lines import Lines
from edged.assembly.supply import Supply
from edged.config.load import load
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.line import Line
from edged.update.manifest import read_bundle
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import until


@dataclass
class Running:
    """A line on ``level`` 1.0.0."""

    path: Path
    line: Line

    def live(self, model: str | None = "level", *, ends: bool = False) -> GoingLive:
        def sleep(seconds: float) -> bool:
            time.sleep(seconds)
            return ends

        return GoingLive(lambda: [self.line], lambda _: model, sleep)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "s.csv", range(20)), more='pace = "recorded"\nloop = true')
    config = load(write_config(tmp_path, 1883, source + pipeline("a"))).config
    clock, outbox = SystemClock(), FakeOutbox()
    supply = Supply((tmp_path / "models",), tmp_path / "state", survey(Path("/"), "auto", ()), clock)
    line = Lines(supply, outbox, Stamper("boot-1", clock), clock).build(config.source[0], config.pipeline)
    line.start()
    until(lambda: line.pipelines[0].worker.state == "running", "it runs")
    yield Running(tmp_path, line)
    line.stop()
    assert line.join(5.0)


def test_it_is_live_when_every_pipeline_runs_it(running: Running) -> None:
    newer = sensor_bundle(running.path / "models" / "newer", version="2.0.0")

    assert running.live().activate(read_bundle(newer)) is None

    until(lambda: "level 2.0.0" in repr(running.line), "from the next frame on")


def test_a_pipeline_that_keeps_the_old_one_says_why(running: Running) -> None:
    newer = read_bundle(sensor_bundle(running.path / "newer", version="2.0.0"))
    for folder in ("models", "state"):
        (running.path / folder).rename(running.path / f"{folder}-away")

    why = running.live().activate(newer)

    assert why is not None
    assert why.startswith("a keeps the model that runs: cannot find model 'level'")


def test_a_model_that_no_pipeline_runs_is_live_at_once(running: Running) -> None:
    newer = read_bundle(sensor_bundle(running.path / "newer", version="2.0.0"))

    assert running.live("another").activate(newer) is None


def test_when_edged_ends_meanwhile_nothing_is_said_of_the_model(running: Running) -> None:
    newer = read_bundle(sensor_bundle(running.path / "newer", version="2.0.0"))

    with pytest.raises(InterruptedWaitError):
        running.live(ends=True).activate(newer)
