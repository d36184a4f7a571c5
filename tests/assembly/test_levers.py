"""Each lever of a pipeline that runs: what it changes, and that it comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.box import survey
from edged.assembly.figures_store import FiguresStore
from edged.assembly.levers import PipelineLevers
from edged.assembly.lines import Lines
from edged.assembly.supply import Supply
from edged.config.load import load
from edged.domain.errors import BudgetError, EdgedError
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.still import HEAVY, LIGHT, still_bundle, still_source
from fakes.waiting import LONGEST_S, until

WHY = "3.0 °C below the soft limit"


@contextmanager
def started(folder: Path, outbox: FakeOutbox, body: str, root: Path = Path("/")) -> Iterator[Line]:
    """Start the one line of a configuration, and stop it at the end; ``root`` tells how much memory there is."""
    config = load(write_config(folder, 1883, body)).config
    clock = SystemClock()
    box = replace(survey(Path("/"), "auto", ()), store=FiguresStore(folder / "state"), root=root)
    supply = Supply((folder / "models",), folder / "state", box, clock)
    line = Lines(supply, outbox, Stamper("boot-1", clock), clock).build(config.source[0], config.pipeline)
    line.start()
    yield line
    line.stop()
    assert line.join(LONGEST_S)


@pytest.fixture
def outbox() -> FakeOutbox:
    return FakeOutbox()


@pytest.fixture
def dock(tmp_path: Path, outbox: FakeOutbox) -> Iterator[Pipeline]:
    """Give the pipeline of a still picture at 50 frames a second, once it runs."""
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    body = still_source(tmp_path / "pictures") + pipeline("a", source="dock", model="still", more="priority = 3")
    with started(tmp_path, outbox, body) as line:
        until(lambda: outbox.bodies("result/a"), "a result")
        yield line.pipelines[0]


def levers(of: Pipeline) -> PipelineLevers:
    assert isinstance(of.levers, PipelineLevers)
    return of.levers


def running(outbox: FakeOutbox) -> str:
    return str(outbox.bodies("result/a")[-1]["model"]["variant"])  # type: ignore[index] # a document


def watched(of: Pipeline) -> None:
    """Let it be seen how fast frames are taken."""
    clock = SystemClock()
    for _ in range(5):
        taken = of.mailbox.taken
        until(lambda taken=taken: of.mailbox.taken >= taken + 5, "some frames")  # type: ignore[misc] # bound at once
        levers(of).measure(clock.monotonic_ns())


def test_at_the_top_nothing_is_taken_and_the_chosen_variant_runs(dock: Pipeline, outbox: FakeOutbox) -> None:
    assert running(outbox) == HEAVY
    assert levers(dock).taken() == {}
    assert levers(dock).reach() == {"gate": 3, "rate": 0, "pause": 1, "threads": 0, "variant": 1, "device": 0}
    assert (levers(dock).priority, levers(dock).accelerator) == (3, "cpu")


def test_the_gate_leaves_out_still_frames_and_counts_them(dock: Pipeline, outbox: FakeOutbox) -> None:
    levers(dock).move("gate", 1, WHY)
    until(lambda: dock.mailbox.drops.get("still", 0) > 20, "still frames")
    results = len(outbox.bodies("result/a"))
    until(lambda: dock.mailbox.drops["still"] > 60, "more of them")
    assert len(outbox.bodies("result/a")) <= results + 1
    assert levers(dock).words()["gate"] == "strictness 1"

    levers(dock).move("gate", 0, WHY)
    until(lambda: len(outbox.bodies("result/a")) > results + 10, "every frame is judged again")
    assert levers(dock).taken() == {}


def test_the_rate_is_halved_down_to_the_floor(dock: Pipeline) -> None:
    watched(dock)
    most = levers(dock).reach()["rate"]
    assert 4 <= most <= 6  # from at most 50 to 1

    levers(dock).move("rate", most, WHY)

    assert levers(dock).words()["rate"] == "1 frames/s"
    until(lambda: dock.mailbox.drops.get("slowed", 0) > 20, "frames are left out")
    assert levers(dock).reach()["rate"] == most  # what it can do does not depend on what it does
    levers(dock).move("rate", 0, WHY)
    assert levers(dock).words()["rate"] == "every frame"


def test_the_lighter_variant_takes_over_without_a_lost_frame_and_gives_back(dock: Pipeline, outbox: FakeOutbox) -> None:
    levers(dock).move("variant", 1, WHY)
    until(lambda: running(outbox) == LIGHT, "the lighter one")
    assert levers(dock).words()["variant"] == f"{LIGHT} on cpu, threads 1"
    assert levers(dock).reach()["variant"] == 1

    levers(dock).move("variant", 0, WHY)
    until(lambda: running(outbox) == HEAVY, "the chosen one")
    frames = [body["frame"] for body in outbox.bodies("result/a")]
    assert dock.worker.restarts == 0
    assert {body["status"] for body in outbox.bodies("result/a")} == {"ok"}
    assert len(set(frames)) == len(frames)
    assert outbox.bodies("alert") == []  # the governor tells its steps itself


def test_where_memory_holds_one_alone_the_old_one_is_freed_first(tmp_path: Path, outbox: FakeOutbox) -> None:
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    memory = tmp_path / "root" / "proc" / "meminfo"
    memory.parent.mkdir(parents=True)
    memory.write_text("MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n")
    body = still_source(tmp_path / "pictures") + pipeline("a", source="dock", model="still")
    with started(tmp_path, outbox, body, tmp_path / "root") as line:
        dock = line.pipelines[0]
        until(lambda: outbox.bodies("result/a"), "a result")
        assert running(outbox) == HEAVY
        before = dock.worker.steps
        memory.write_text("MemTotal: 1048576 kB\nMemAvailable: 5120 kB\n")

        levers(dock).move("variant", 1, WHY)

        until(lambda: running(outbox) == LIGHT, "the lighter one")
        assert dock.worker.steps is not before
        assert (dock.worker.restarts, {body["status"] for body in outbox.bodies("result/a")}) == (0, {"ok"})
        assert levers(dock).words()["variant"].startswith(LIGHT)


def test_where_memory_holds_one_alone_nobody_leaves_what_others_go_on_with(tmp_path: Path, outbox: FakeOutbox) -> None:
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    memory = tmp_path / "root" / "proc" / "meminfo"
    memory.parent.mkdir(parents=True)
    memory.write_text("MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n")
    both = "".join(pipeline(name, source="dock", model="still") for name in "ab")
    with started(tmp_path, outbox, still_source(tmp_path / "pictures") + both, tmp_path / "root") as line:
        dock = line.pipelines[0]
        until(lambda: outbox.bodies("result/a") and outbox.bodies("result/b"), "results")
        before = dock.worker.steps
        memory.write_text("MemTotal: 1048576 kB\nMemAvailable: 5120 kB\n")

        with pytest.raises(BudgetError, match="memory has no room for it beside what others run"):
            levers(dock).move("variant", 1, WHY)

        assert dock.worker.steps is before
        assert levers(dock).taken() == {}
        assert levers(dock).words()["variant"].startswith(HEAVY)


def test_a_look_for_newer_models_leaves_the_lighter_variant_in_place(dock: Pipeline, outbox: FakeOutbox) -> None:
    levers(dock).move("variant", 1, WHY)
    until(lambda: running(outbox) == LIGHT, "the lighter one")

    dock.renew()

    assert levers(dock).words()["variant"].startswith(LIGHT)
    dock.worker.rebuild()
    count = len(outbox.bodies("result/a"))
    until(lambda: len(outbox.bodies("result/a")) > count + 20, "results of the new loop")
    assert running(outbox) == LIGHT


def test_a_variant_that_does_not_open_leaves_what_runs(dock: Pipeline, outbox: FakeOutbox, tmp_path: Path) -> None:
    for file in tmp_path.glob("**/model.tflite"):
        file.chmod(0o600)
        file.write_bytes(b"damaged")
    for blob in (tmp_path / "state").glob("**/blobs/**/*"):
        if blob.is_file() and b"TFL3" in blob.read_bytes()[:16]:
            blob.chmod(0o600)
            blob.write_bytes(b"damaged")

    with pytest.raises(EdgedError):
        levers(dock).move("variant", 1, WHY)

    assert levers(dock).taken() == {}
    count = len(outbox.bodies("result/a"))
    until(lambda: len(outbox.bodies("result/a")) > count + 5, "it goes on")
    assert running(outbox) == HEAVY


def test_a_pipeline_rests_and_goes_on_but_not_against_an_operator(dock: Pipeline) -> None:
    levers(dock).move("pause", 1, WHY)
    until(lambda: dock.worker.state == "paused", "it rests")
    assert dock.worker.reason is not None
    assert dock.worker.reason.message == f"rests: {WHY}"
    dock.pause()

    levers(dock).move("pause", 0, WHY)

    assert dock.worker.state == "paused"
    dock.resume()
    until(lambda: dock.worker.state == "running", "it goes on")


def test_a_pipeline_that_rests_holds_no_model_and_counts_as_paused_until_it_runs_again(
    dock: Pipeline, outbox: FakeOutbox
) -> None:
    loop = dock.worker.steps
    assert isinstance(loop, Loop)
    engine = loop.model.engine

    levers(dock).move("pause", 1, WHY)

    until(lambda: dock.worker.steps is None and repr(engine).endswith("closed>"), "it lets go")
    until(lambda: dock.mailbox.drops.get("paused", 0) > 5, "frames that are counted as paused")
    until(lambda: dock.worker.state == "paused", "it says so")
    levers(dock).move("variant", 1, WHY)  # nothing is opened for one that rests
    count = len(outbox.bodies("result/a"))
    levers(dock).move("pause", 0, WHY)
    states = set()
    until(lambda: states.add(dock.worker.state) or len(outbox.bodies("result/a")) > count, "results again")  # type: ignore[func-returns-value] # for the or
    assert states <= {"paused", "running"}
    assert running(outbox) == LIGHT
    assert dock.worker.restarts == 0
    assert {body["status"] for body in outbox.bodies("result/a")} == {"ok"}


@pytest.mark.parametrize(("latency_ms", "expected"), [(9.0, None), (20.0, 20.0)])
def test_an_objective_that_no_variant_was_measured_to_meet_is_no_want_of_power(
    tmp_path: Path, outbox: FakeOutbox, latency_ms: float, expected: float | None
) -> None:
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    more = f'pin = "{HEAVY}"\nobjective = {{ latency_ms = {latency_ms} }}'
    body = still_source(tmp_path / "pictures") + pipeline("a", source="dock", model="still", more=more)
    with started(tmp_path, outbox, body) as line:
        until(lambda: outbox.bodies("result/a"), "a result")
        assert levers(line.pipelines[0]).objective_ms == expected
        assert levers(line.pipelines[0]).reach()["variant"] == 0  # what is pinned stays


def test_the_configured_gate_leaves_out_still_frames_by_itself(tmp_path: Path, outbox: FakeOutbox) -> None:
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    gate = "gate = { motion = true, at_least_every_s = 0.4 }"
    body = still_source(tmp_path / "pictures") + pipeline("a", source="dock", model="still", more=gate)
    with started(tmp_path, outbox, body) as line:
        dock = line.pipelines[0]
        until(lambda: len(outbox.bodies("result/a")) >= 3, "a look now and then")
        assert dock.mailbox.drops["still"] > len(outbox.bodies("result/a"))
        assert levers(dock).reach()["gate"] == 2


def test_of_a_recording_nothing_is_left_out(tmp_path: Path, outbox: FakeOutbox) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = csv_source(write_windows(tmp_path / "s.csv", [5.0] * 20), more='pace = "recorded"\nloop = true')
    with started(tmp_path, outbox, recording + pipeline("a", more="gate = { motion = true }")) as line:
        until(lambda: outbox.bodies("result/a"), "a result")
        assert levers(line.pipelines[0]).reach() == {"pause": 1}
        assert levers(line.pipelines[0]).words()["gate"] == "off"
