"""Pipelines that run one model on shared interpreters, while that model is replaced or fails under them. The interpreters are real ones."""

from __future__ import annotations

import hashlib
import os
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
from edged.pipeline.turns import Turns
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.sensor import LENGTH, csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import LONGEST_S, until

NAMES = ("a", "b", "c")
PROCESSORS = 2
OURS = os.sched_getaffinity(0)
TASKS = Path("/proc/self/task")


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
    """On interpreters of one thread each."""
    yield from _running(tmp_path, 1)


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Running]:
    """On one interpreter that fills the box."""
    yield from _running(tmp_path, PROCESSORS)


def _running(tmp_path: Path, threads: int) -> Iterator[Running]:
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "s.csv", range(50)), more='pace = "recorded"\nloop = true')
    config = load(write_config(tmp_path, 1883, source + "".join(map(pipeline, NAMES)))).config
    clock, outbox, shares = SystemClock(), FakeOutbox(), Shares(PROCESSORS)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "one.toml").write_text(
        f'name = "one"\nprefer = [{{ accelerator = "cpu", threads = {threads} }}]\n', "utf-8"
    )
    box = survey(Path("/"), "one", (tmp_path / "profiles",))
    box = replace(box, engines=replace(box.engines, shares=shares))
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, clock)
    lines = Lines(supply, outbox, Stamper("boot-1", clock), clock, turns=Turns(PROCESSORS))
    line = lines.build(config.source[0], config.pipeline)
    line.start()
    made = Running(tmp_path / "models", line, shares, outbox)
    until(lambda: all(len(made.results(name)) > 3 for name in NAMES), "all of them give results")
    yield made
    line.stop()
    assert line.join(LONGEST_S)
    assert repr(shares) == "<Shares none>"


def newer(folder: Path, length: int = LENGTH) -> None:
    """Put the next version into the folder, with a file of other bytes that says the same."""
    sensor_bundle(folder, version="1.1.0", length=length)
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


@pytest.mark.skipif(len(OURS) < PROCESSORS, reason="there is one processor to meet on")
def test_those_who_share_one_interpreter_of_several_threads_meet_on_a_processor_until_one_has_it_alone(
    crowded: Running,
) -> None:
    until(lambda: all_meet(crowded), "all of them meet, and nothing else does")

    # Windows of another length: each pipeline opens the model itself.
    newer(crowded.models / "level", length=32)
    crowded.line.reload()
    for name in NAMES:
        until(lambda name=name: crowded.results(name)[-1]["model"]["version"] == "1.1.0", "the new version")  # type: ignore[misc] # bound at once
    until(lambda: all_meet(crowded), "all of them meet again, and what they began runs where it likes")

    last, *others = crowded.line.pipelines
    for one in others:
        one.pause("box", "the test", "", lets_go=True)
    until(lambda: may_run_anywhere(last.worker._thread.native_id), "the one that is left runs where it likes")


def all_meet(running: Running) -> bool:
    """Whether the pipelines' threads stay on one processor, and no other thread of this process does."""
    theirs = [one.worker._thread.native_id for one in running.line.pipelines]
    bound = {int(task.name) for task in TASKS.iterdir() if not may_run_anywhere(int(task.name))}
    return bound == set(theirs) and len({*map(str, map(os.sched_getaffinity, bound))}) == 1


def may_run_anywhere(task: int | None) -> bool:
    try:
        return os.sched_getaffinity(task or 0) == OURS
    except ProcessLookupError:
        return True


def unknown(running: Running, name: str) -> list[dict[str, Any]]:
    return [one for one in running.results(name) if one["status"] == "unknown"]
