"""Pipelines that run one model on shared interpreters, while that model is replaced or fails under them. The interpreters are real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edged.assembly.box import survey
from edged.assembly.crew import Crew
from edged.assembly.lines import Lines
from edged.assembly.sharing import Shares
from edged.assembly.supply import Supply
from edged.config.load import load
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.line import Line
from edged.pipeline.loop import Loop
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import LONGEST_S, until

NAMES = ("a", "b", "c")
PROCESSORS = 2


@dataclass
class Running:
    """Three pipelines on ``level`` and one source."""

    models: Path
    line: Line
    shares: Shares
    outbox: FakeOutbox

    def results(self, name: str) -> list[dict[str, Any]]:
        return self.outbox.bodies(f"result/{name}")

    def crew(self) -> Crew:
        """Give the interpreters that all of them run."""
        found = set()
        for one in self.line.pipelines:
            assert isinstance(one.worker.steps, Loop)
            found.add(one.worker.steps.model.engine.engine)  # type: ignore[attr-defined] # a hold on them
        (crew,) = found
        assert isinstance(crew, Crew)
        return crew


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "s.csv", range(50)), more='pace = "recorded"\nloop = true')
    config = load(write_config(tmp_path, 1883, source + "".join(map(pipeline, NAMES)))).config
    clock, outbox, shares = SystemClock(), FakeOutbox(), Shares(PROCESSORS)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "one.toml").write_text(
        'name = "one"\nprefer = [{ accelerator = "cpu", threads = 1 }]\n', "utf-8"
    )
    box = survey(Path("/"), "one", (tmp_path / "profiles",))
    box = replace(box, engines=replace(box.engines, shares=shares))
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, clock)
    line = Lines(supply, outbox, Stamper("boot-1", clock), clock).build(config.source[0], config.pipeline)
    line.start()
    made = Running(tmp_path / "models", line, shares, outbox)
    until(lambda: all(len(made.results(name)) > 3 for name in NAMES), "all of them give results")
    yield made
    line.stop()
    assert line.join(LONGEST_S)
    assert repr(shares) == "<Shares none>"


def newer(folder: Path) -> None:
    """Put the next version into the folder, with a file of other bytes that says the same."""
    sensor_bundle(folder, version="1.1.0")
    file, manifest = folder / "model.tflite", folder / "model.toml"
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(file.read_bytes() + bytes(16))
    manifest.write_text(manifest.read_text("utf-8").replace(before, hashlib.sha256(file.read_bytes()).hexdigest()))


def no_window_was_lost(results: list[dict[str, Any]]) -> None:
    assert {one["status"] for one in results} == {"ok"}
    assert [
        (one["frame"], other["frame"]) for one, other in pairwise(results) if other["frame"] != one["frame"] + 1
    ] == []


def test_a_new_version_takes_over_from_under_all_who_share_the_old_one_without_a_lost_window(running: Running) -> None:
    before = running.crew()
    assert before.count == PROCESSORS

    newer(running.models / "level")
    running.line.reload()

    for name in NAMES:
        until(lambda name=name: running.results(name)[-1]["model"]["version"] == "1.1.0", "the new version")  # type: ignore[misc] # bound at once
    until(lambda: before.count == 0, "the old interpreters are freed")
    after = running.crew()
    assert after is not before
    assert after.count == PROCESSORS
    for name in NAMES:
        no_window_was_lost(running.results(name))


def test_an_interpreter_that_fails_costs_one_pipeline_one_window_and_the_others_none(running: Running) -> None:
    class Broken:
        def set_tensor(self, _index: int, _tensor: object) -> None:
            message = "it is broken"
            raise RuntimeError(message)

    before = running.crew()
    # Behind everybody's back, and while nobody runs it.
    before._places.take()
    engine = before._idle.pop()
    engine._interpreter = Broken()  # type: ignore[attr-defined] # a real one
    before._rest(engine)

    until(lambda: any(unknown(running, name) for name in NAMES), "somebody met it")
    (hit,) = (name for name in NAMES if unknown(running, name))
    until(lambda: running.results(hit)[-1]["status"] == "ok", "it runs again")
    for name in NAMES:
        if name != hit:
            no_window_was_lost(running.results(name))
    assert len(unknown(running, hit)) == 1


def unknown(running: Running, name: str) -> list[dict[str, Any]]:
    return [one for one in running.results(name) if one["status"] == "unknown"]
