"""A pipeline's model while it runs, fails and is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import cast

import cv2
import numpy as np
import pytest

from edged.assembly.box import survey
from edged.assembly.keeper import Keeper
from edged.assembly.lines import Lines
from edged.assembly.lost import Lost
from edged.assembly.models import Opened, open_best
from edged.assembly.refine import FurtherModel
from edged.assembly.sharing import QueuedEngine
from edged.assembly.supply import Supply
from edged.config.load import load
from edged.config.schema import Pipeline
from edged.config.share import shipped
from edged.control.fallback import Life
from edged.domain.device import AcceleratorKind
from edged.domain.errors import DeadlineError, EngineLostError
from edged.domain.ports import Clock
from edged.domain.result import Classes
from edged.domain.variant import Rung
from edged.engines.sandbox import SandboxEngine
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.hardware.gathered import scatter
from edged.pipeline.backoff import Backoff
from edged.pipeline.cascade import Cascade
from edged.pipeline.line import Line
from edged.pipeline.loop import Loop
from edged.pipeline.rules import Rules
from edged.pipeline.turns import Turns
from edged.pipeline.worker import Worker
from edged.update.manifest import read_bundle
from fakes.clock import FakeClock
from fakes.daemon import write_config
from fakes.engine import FakeEngine
from fakes.outbox import FakeOutbox
from fakes.sensor import csv_source, picture_bundle, pipeline, sensor_bundle, write_windows
from fakes.waiting import LONGEST_S, until

LOUD = '[[pipeline.rule]]\nname = "loud"\nwhen = { min_value = 1.0 }\n'


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def line(tmp_path: Path, outbox: FakeOutbox) -> Iterator[Line]:
    """Give a line that is started: a loud sensor without end, and a rule that reports it."""
    sensor_bundle(tmp_path / "models" / "level")
    recording = csv_source(write_windows(tmp_path / "s.csv", [5.0] * 20), more='pace = "recorded"\nloop = true')
    with started(tmp_path, outbox, recording + pipeline("a", more=LOUD)) as made:
        yield made


@contextmanager
def started(tmp_path: Path, outbox: FakeOutbox, body: str, *, isolate: bool = False) -> Iterator[Line]:
    """Start the one line of a configuration, its engines in children or not, and stop it at the end."""
    config = load(write_config(tmp_path, 1883, body)).config
    clock, state = SystemClock(), tmp_path / "state"
    box = survey(Path("/"), "auto", ())
    if isolate:
        box = replace(box, engines=replace(box.engines, isolate=True, state=state), lost=Lost(clock))
    supply = Supply((tmp_path / "models",), state, box, clock)
    made = Lines(supply, outbox, Stamper("boot-1", clock), clock).build(config.source[0], config.pipeline)
    made.start()
    yield made
    made.stop()
    assert made.join(LONGEST_S)


def phases(outbox: FakeOutbox) -> list[object]:
    return [body["phase"] for body in outbox.bodies("event/a")]


def fail_for_good(line: Line, folder: Path) -> None:
    """Lose the engine, and every file that another could be made of."""
    for name in ("models", "state"):
        shutil.rmtree(folder / name)
    loop = line.pipelines[0].worker.steps
    assert isinstance(loop, Loop)

    def lost(_frame: object) -> tuple[()]:
        raise EngineLostError("cannot infer: it is gone")

    object.__setattr__(loop.model, "preprocess", lost)
    until(lambda: line.pipelines[0].worker.state == "failed", "it has failed")


def test_an_event_that_is_open_when_the_pipeline_fails_is_ended_at_the_stop(
    line: Line, outbox: FakeOutbox, tmp_path: Path
) -> None:
    until(lambda: "start" in phases(outbox), "the event")
    fail_for_good(line, tmp_path)
    assert "end" not in phases(outbox)

    line.stop()
    assert line.join(LONGEST_S)

    assert phases(outbox)[-1] == "end"
    (start, *_, end) = outbox.bodies("event/a")
    assert start["since"] == end["since"]
    assert end["until"] <= outbox.bodies("result/a")[-1]["captured_at"]


def test_a_pipeline_that_is_stopped_says_so(line: Line, outbox: FakeOutbox) -> None:
    until(lambda: outbox.bodies("result/a"), "a result")
    line.stop()
    assert line.join(LONGEST_S)
    assert line.pipelines[0].worker.state == "stopped"


def test_a_newer_model_that_looks_closer_comes_in_too(tmp_path: Path, outbox: FakeOutbox) -> None:
    picture_bundle(tmp_path / "models" / "still")
    manifest = picture_bundle(tmp_path / "models" / "closer") / "model.toml"
    manifest.write_text(manifest.read_text().replace('name = "still"', 'name = "closer"'))
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    source = f'[[source]]\nname = "dock"\nkind = "images"\npath = "{tmp_path / "pictures"}"\nloop = true\nfps = 50\n'
    body = source + pipeline("a", source="dock", model="still", more='then = [{ model = "closer" }]')
    with started(tmp_path, outbox, body) as line:
        worker = line.pipelines[0].worker
        until(lambda: outbox.bodies("result/a"), "a result")
        before = worker.steps
        line.reload()
        manifest.write_text(manifest.read_text().replace("1.0.0", "1.1.0"))

        line.reload()

        until(lambda: isinstance(worker.steps, Loop) and worker.steps is not before, "another loop")
        assert (worker.restarts, worker.reason) == (0, None)


class Desk:
    """Stands for the supply: says what was lost, and what else can run."""

    def __init__(self) -> None:
        self.lost_ways: list[tuple[str, str]] = []

    def lost(
        self, model: str, _pin: object, _objective: object, rung: Rung, _error: EngineLostError, *, lived: bool
    ) -> bool:
        self.lost_ways.append((model, rung.accelerator))
        return lived


class Turn:
    """Counts how often it is held."""

    def __init__(self) -> None:
        self.held = 0

    @contextmanager
    def __call__(self, _width: int) -> Iterator[None]:
        self.held += 1
        yield


@pytest.fixture
def parts() -> Iterator[Opened]:
    opened = open_best(read_bundle(shipped("models") / "parts"), survey(Path("/"), "auto", []))
    yield opened
    opened.model.engine.close()


def keeper_of(desk: Desk, first: Opened, further: Opened, clock: Clock | None = None) -> Keeper:
    settings = Pipeline.model_validate({"name": "gate", "source": "dock", "model": "people"})
    keeper = Keeper(settings, None, None, desk, Rules([]), lambda: (), clock or SystemClock())  # type: ignore[arg-type] # a stand-in
    look = Cascade("closer", lambda _frame: Classes(()))
    keeper._rung, keeper._further = first.rung, (FurtherModel(look, further, keeper._blame),)
    return keeper


def on(accelerator: AcceleratorKind, opened: Opened) -> Opened:
    return replace(opened, rung=replace(opened.rung, accelerator=accelerator))


def test_whose_engine_was_lost_is_left_alone_and_no_other(parts: Opened) -> None:
    desk, error = Desk(), EngineLostError("cannot run parts.tflite: it gave no answer")
    keeper = keeper_of(desk, on("cpu", parts), on("edgetpu", parts))

    keeper._blame(keeper._further[0].opened)
    assert keeper.is_replaceable(error)
    assert keeper.is_replaceable(error)

    assert desk.lost_ways == [("parts", "edgetpu"), ("people", "cpu")]


def child_of(worker: Worker) -> int:
    """Give the process that its engine runs in; 0 while there is none."""
    loop = worker.steps
    return cast("SandboxEngine", loop.model.engine).pid if isinstance(loop, Loop) else 0


def has_lived(worker: Worker) -> bool:
    keeper = cast("Keeper", cast("MethodType", worker._is_replaceable).__self__)
    return child_of(worker) != 0 and keeper._life.is_enough(time.monotonic_ns())


@pytest.mark.parametrize(
    ("error", "ran_s", "expected"),
    [(EngineLostError, 5.0, True), (EngineLostError, 0.5, False), (DeadlineError, 5.0, False)],
    ids=["ended", "ended soon", "hung"],
)
def test_an_engine_that_lived_is_begun_again_at_once_unless_it_hung(
    parts: Opened, error: type[EngineLostError], ran_s: float, expected: bool
) -> None:
    clock = FakeClock()
    keeper = keeper_of(Desk(), on("cpu", parts), on("cpu", parts), clock)
    keeper._life = Life(clock.monotonic_ns(), clock.monotonic_ns())
    clock.advance(ran_s)

    assert keeper.is_replaceable(error("cannot run parts.tflite: it is gone")) == expected


@pytest.mark.slow
def test_an_engine_whose_process_is_taken_again_and_again_is_not_waited_for(tmp_path: Path, outbox: FakeOutbox) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = csv_source(write_windows(tmp_path / "s.csv", [5.0] * 20), more='pace = "recorded"\nloop = true')
    with started(tmp_path, outbox, recording + pipeline("a"), isolate=True) as line:
        worker, ended = line.pipelines[0].worker, set[int]()
        worker._backoff = Backoff(first_s=1000.0, limit_s=1000.0)
        for _ in range(2):
            until(lambda: has_lived(worker) and child_of(worker) not in ended, "an engine that ran for long enough")
            ended.add(child_of(worker))
            os.kill(child_of(worker), signal.SIGKILL)

        until(lambda: child_of(worker) not in {0, *ended}, "a third engine")
        assert worker.restarts == len(ended)


@pytest.mark.parametrize("priority", [0, 7])
def test_an_engine_whose_device_others_use_too_hears_how_important_the_pipeline_is(
    parts: Opened, priority: int
) -> None:
    class Queue(FakeEngine):
        priority = -1

    engine = Queue((), (), list)
    keeper = keeper_of(Desk(), parts, parts)
    keeper._settings = keeper._settings.model_copy(update={"priority": priority})

    keeper._ranked(replace(parts, model=replace(parts.model, engine=engine)))

    assert engine.priority == priority


@pytest.mark.parametrize(
    ("first", "further", "held"), [("cpu", "cpu", 1), ("cpu", "edgetpu", 0), ("edgetpu", "cpu", 0)]
)
def test_nobody_waits_for_the_turn_of_a_pipeline_of_which_a_model_may_hang(
    parts: Opened, first: AcceleratorKind, further: AcceleratorKind, held: int
) -> None:
    crowd = Turns(1)
    shared = QueuedEngine(parts.model.engine, lambda: None, lambda: crowd)
    keeper = keeper_of(Desk(), on(first, parts), on(further, parts))
    keeper._opened = replace(on(first, parts), model=replace(parts.model, engine=shared))
    turn = keeper.turn = Turn()
    take = keeper._turn()
    assert take is not None

    with take():
        assert turn.held == held
        assert repr(crowd) == f"<Turns: {held} of 1 places taken, 0 wait>"
    scatter()
