"""A release goes live under a pipeline that runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from edged.assembly import keeper
from edged.assembly.box import Box, survey
from edged.assembly.going_live import GoingLive, OpeningError
from edged.assembly.lines import Lines
from edged.assembly.models import Opened
from edged.assembly.supply import Supply
from edged.config.load import load
from edged.domain.bundle import Bundle
from edged.domain.errors import DeviceError, EngineLostError
from edged.domain.ports import Clock
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.line import Line
from edged.pipeline.loop import Loop
from edged.update.manifest import read_bundle
from edged.update.records import Release
from fakes.clock import FakeClock
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import LONGEST_S, until

RELEASE = Release(digest="a" * 64, version="2.0.0")
MENDED = Release(digest="b" * 64, version="2.0.0")
NO_ROOM_MB = 10.0
"""Less than the estimate for the smallest model, and more than nothing."""


@dataclass
class Running:
    """A line on ``level`` 1.0.0."""

    path: Path
    line: Line
    supply: Supply
    outbox: FakeOutbox

    def live(self, model: str | None = "level", clock: Clock | None = None) -> GoingLive:
        return GoingLive(lambda: [self.line], lambda _: model, clock or SystemClock())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "s.csv", range(20)), more='pace = "recorded"\nloop = true')
    config = load(write_config(tmp_path, 1883, source + pipeline("a"))).config
    clock, outbox = SystemClock(), FakeOutbox()
    # The tests' own memory is none of the box's.
    box = replace(survey(Path("/"), "auto", ()), is_this_machine=False)
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, clock)
    line = Lines(supply, outbox, Stamper("boot-1", clock), clock).build(config.source[0], config.pipeline)
    line.start()
    until(lambda: line.pipelines[0].worker.state == "running", "it runs")
    yield Running(tmp_path, line, supply, outbox)
    line.stop()
    assert line.join(LONGEST_S)


def activated(live: GoingLive, bundle: Bundle) -> str | None:
    """Have it go live, and wait until there is something to say."""
    live.begin(RELEASE, bundle)
    said: list[str | None] = []

    def is_over() -> bool:
        try:
            said.append(live.end(bundle.manifest.name))
        except OpeningError:
            return False
        return True

    until(is_over, "it is opened, or is not")
    return said[0]


def test_it_is_live_when_every_pipeline_runs_it(running: Running) -> None:
    newer = sensor_bundle(running.path / "models" / "newer", version="2.0.0")

    assert activated(running.live(), read_bundle(newer)) is None

    until(lambda: "level 2.0.0" in repr(running.line), "from the next frame on")


def test_a_pipeline_that_keeps_the_old_one_says_why(running: Running) -> None:
    newer = read_bundle(sensor_bundle(running.path / "newer", version="2.0.0"))
    for folder in ("models", "state"):
        (running.path / folder).rename(running.path / f"{folder}-away")

    why = activated(running.live(), newer)

    assert why is not None
    assert why.startswith("a keeps the model that runs: cannot find model 'level'")


def test_a_model_that_no_pipeline_runs_is_live_at_once(running: Running) -> None:
    newer = read_bundle(sensor_bundle(running.path / "newer", version="2.0.0"))

    assert activated(running.live("another"), newer) is None


def test_nobody_waits_for_it_and_one_that_never_opens_is_told_after_its_time(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks after orders also takes back what is on probation elsewhere: a minute is too long for that."""
    newer = read_bundle(sensor_bundle(running.path / "models" / "newer", version="2.0.0"))
    may, opens, clock = threading.Event(), running.supply.open, FakeClock()

    def slow(*asked: Any, **more: Any) -> Opened:
        assert may.wait(20.0)
        return opens(*asked, **more)

    monkeypatch.setattr(running.supply, "open", slow)
    live = running.live(clock=clock)

    live.begin(RELEASE, newer)
    for _ in range(2):
        with pytest.raises(OpeningError, match=r"cannot tell of level 2\.0\.0 yet: a opens it"):
            live.end("level")
    assert [live.is_opening("level", one) for one in (RELEASE, MENDED)] == [True, False]
    assert repr(live) == "<GoingLive level>"
    clock.advance(91)
    assert live.end("level") == "a did not take it within 90 s"
    assert repr(live) == "<GoingLive nothing>"
    may.set()
    until(lambda: "level 2.0.0" in repr(running.line), "it is opened")


def test_it_is_warm_before_its_first_frame_and_one_that_does_not_run_never_takes_over(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor_bundle(running.path / "models" / "newer", version="2.0.0")
    newer = read_bundle(running.path / "models" / "newer")
    warmed: list[str] = []

    def fails(opened: Opened) -> None:
        warmed.append(opened.bundle.manifest.version)
        raise EngineLostError("cannot infer: no memory")

    monkeypatch.setattr(keeper, "warm_up", fails)

    why = activated(running.live(), newer)

    assert (warmed, why) == (["2.0.0"], "a keeps the model that runs: cannot infer: no memory")
    assert "level 1.0.0" in repr(running.line)


def test_where_memory_holds_one_alone_the_old_one_goes_first(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = running.line.pipelines[0].worker
    before = worker.steps
    assert isinstance(before, Loop)
    newer = read_bundle(sensor_bundle(running.path / "models" / "newer", version="2.0.0"))
    running.supply.bundle("level")
    open_ones: list[bool] = []
    opens = running.supply.open

    def watched(*asked: Any, **more: Any) -> Opened:
        open_ones.append(worker.steps is before)
        return opens(*asked, **more)

    monkeypatch.setattr(running.supply, "open", watched)
    running.supply._box = bounded(running.supply._box, NO_ROOM_MB)

    assert activated(running.live(), newer) is None

    assert open_ones == [False]
    assert (worker.restarts, worker.reason) == (0, None)
    assert running.line.pipelines[0].worker.steps is not before


def test_where_memory_holds_both_nothing_goes_before_the_other_is_open(running: Running) -> None:
    worker = running.line.pipelines[0].worker
    before = worker.steps
    newer = read_bundle(sensor_bundle(running.path / "models" / "newer", version="2.0.0"))

    assert activated(running.live(), newer) is None

    assert worker.steps is before


def test_one_that_does_not_open_in_the_old_one_s_place_is_told_and_the_old_one_comes_back(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = read_bundle(sensor_bundle(running.path / "models" / "newer", version="2.0.0"))
    running.supply.bundle("level")
    opens = running.supply.open

    def refused(*asked: Any, **more: Any) -> Opened:
        if running.supply.updater.slots.pointer("level").previous is not None:
            raise DeviceError("cannot open it: no memory")
        return opens(*asked, **more)

    monkeypatch.setattr(running.supply, "open", refused)
    running.supply._box = bounded(running.supply._box, NO_ROOM_MB)
    live = running.live()

    assert activated(live, newer) == "a: cannot open it: no memory"

    running.supply.updater.roll_back("level", "it does not run here")
    live.look()
    until(lambda: running.line.pipelines[0].worker.state == "running", "the old one runs again")
    assert "level 1.0.0" in repr(running.line)


def bounded(box: Box, memory_mb: float) -> Box:
    profile = box.profile
    limits = profile.limits.model_copy(update={"memory_mb": memory_mb})
    return replace(box, profile=profile.model_copy(update={"limits": limits}))
