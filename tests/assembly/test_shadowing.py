"""A candidate in a real child, beside a pipeline that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from edged.assembly.box import Box, survey
from edged.assembly.lines import Lines
from edged.assembly.shadowing import Shadowing
from edged.assembly.supply import Supply
from edged.assembly.update_reports import UpdateReports
from edged.assembly.uses import Use
from edged.config.load import load
from edged.domain.errors import DeviceError
from edged.fleet.schemas import UpdateDocument
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.line import Line
from edged.pipeline.model import Model
from edged.update.manifest import read_bundle
from edged.update.ports import Shadow
from edged.update.records import Ordered
from edged.update.shadow import Ruling
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import LONGEST_S, until

ORDER = Ordered(
    document="d" * 64,
    audience="device:press-07",
    seq=1,
    version="2.0.0",
    target="level-2.0.0.edgemodel",
    sha256="a" * 64,
    length=1,
    shadow_one_in=2,
    shadow_frames=10,
)


@dataclass
class Running:
    """A line on ``level`` 1.0.0, and what runs candidates beside it."""

    path: Path
    line: Line
    box: Box
    outbox: FakeOutbox = field(default_factory=FakeOutbox)
    uses: tuple[Use, ...] = (Use(),)

    def shadowing(self, model: str = "level") -> Shadowing:
        clock = SystemClock()
        reports = UpdateReports(self.outbox, Stamper("boot-1", clock))
        return Shadowing(lambda: [self.line], lambda _: model, lambda _: self.uses, self.box, reports, clock)

    def candidate(self, order: Ordered = ORDER, **more: Any) -> Shadow:
        return Shadow("level", order, read_bundle(sensor_bundle(self.path / "newer", version="2.0.0", **more)))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "s.csv", range(20)), more='pace = "recorded"\nloop = true')
    config = load(write_config(tmp_path, 1883, source + pipeline("a"))).config
    clock, box = SystemClock(), survey(Path("/"), "auto", ())
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, clock)
    lines = Lines(supply, FakeOutbox(), Stamper("boot-1", clock), clock, is_updated=True)
    line = lines.build(config.source[0], config.pipeline)
    line.start()
    until(lambda: line.pipelines[0].worker.state == "running", "it runs")
    yield Running(tmp_path, line, box)
    line.stop()
    assert line.join(LONGEST_S)


def ruled(shadowing: Shadowing, shadow: Shadow) -> Ruling:
    """Look until there is a ruling."""
    found: list[Ruling] = []

    def is_ruled() -> bool:
        found.append(shadowing.rule(shadow))
        return found[-1].what != "compare"

    until(is_ruled, "it is ruled on")
    return found[-1]


def opened(shadowing: Shadowing) -> psutil.Process:
    """Wait for the candidate's child: it is started on a thread that nobody waits for."""
    until(lambda: repr(shadowing).endswith("agree>>"), "it is open")
    (child,) = children()
    return child


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "sandbox_child" in command(one)]


def command(of: psutil.Process) -> str:
    """Give a process's command line; nothing of one that has ended, as another test's may have meanwhile."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(of.cmdline())
    return ""


@pytest.mark.slow
def test_it_is_compared_in_a_child_with_the_least_priority_and_leaves_nothing_behind(running: Running) -> None:
    shadowing, shadow = running.shadowing(), running.candidate()

    assert shadowing.rule(shadow).what == "compare"
    child = opened(shadowing)
    assert child.nice() == 19
    autogroup = Path(f"/proc/{child.pid}/autogroup")
    assert not autogroup.exists() or autogroup.read_text("ascii").split()[-1] == "10"
    ruling = ruled(shadowing, shadow)
    assert repr(shadowing).startswith("<Shadowing <Understudy level 2.0.0 fp32: 1")
    shadowing.part("level")
    shadowing.part("level")

    assert ruling == Ruling("go-on", "10 of 10 frames agree in shadow")
    assert repr(shadowing) == "<Shadowing nothing>"
    assert children() == []
    assert repr(running.line.pipelines[0].companion) == "<Companion of nobody>"


@pytest.mark.slow
def test_one_that_answers_otherwise_is_refused_and_says_how(running: Running) -> None:
    shadowing = running.shadowing()

    ruling = ruled(shadowing, running.candidate(threshold=1.0))
    shadowing.part("level")

    assert ruling.what == "refuse"
    assert "is an anomaly, expected" in ruling.reason


@pytest.mark.slow
def test_one_whose_child_dies_is_condemned(running: Running) -> None:
    shadowing, shadow = running.shadowing(), running.candidate(replace_order(frames=100_000))
    shadowing.rule(shadow)
    child = opened(shadowing)

    child.kill()

    assert ruled(shadowing, shadow).what == "condemn"
    shadowing.part("level")


@pytest.mark.slow
def test_another_order_for_the_model_is_compared_anew(running: Running) -> None:
    shadowing = running.shadowing()
    shadowing.rule(running.candidate())
    before = opened(shadowing)

    shadowing.rule(running.candidate(replace_order(seq=2)))

    assert opened(shadowing).pid != before.pid
    assert not before.is_running()
    shadowing.part("level")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"uses": (Use(pin="another"),)}, "none of its variants can run now"),
        ({"model": "another"}, "no pipeline runs the model now"),
    ],
)
def test_what_cannot_be_compared_goes_on_without_and_says_so(running: Running, more: dict[str, Any], why: str) -> None:
    running.uses = more.get("uses", running.uses)

    ruling = running.shadowing(more.get("model", "level")).rule(running.candidate())

    assert ruling == Ruling("go-on", f"goes on without shadow: {why}")


def test_it_goes_on_without_where_memory_does_not_hold_both(running: Running) -> None:
    limits = replace_limits(running.box, memory_mb=1.0)
    running.box = limits

    ruling = running.shadowing().rule(running.candidate())

    assert ruling.what == "go-on"
    assert "the memory does not hold both, it needs 216 MiB beside what runs, 0 MiB are left" in ruling.reason


def test_it_goes_on_without_where_it_does_not_open_beside_the_other(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Model:
        raise DeviceError("cannot open it: no memory")

    monkeypatch.setattr("edged.assembly.shadowing.open_rung", refused)

    ruling = ruled(running.shadowing(), running.candidate())

    assert ruling == Ruling(
        "go-on", "goes on without shadow: it does not open beside what is live: cannot open it: no memory"
    )


@pytest.mark.slow
def test_windows_that_are_cut_otherwise_go_on_without(running: Running) -> None:
    shadowing = running.shadowing()

    ruling = ruled(shadowing, running.candidate(length=32))
    shadowing.part("level")

    assert ruling.reason.startswith("goes on without shadow: its windows are 32 samples of 1")


def test_how_far_they_agree_is_told(running: Running) -> None:
    clock = SystemClock()
    reports = UpdateReports(running.outbox, Stamper("boot-1", clock))
    reports.compared("level", {"compared": 5, "agreed": 4, "of": 10})
    (body,) = running.outbox.bodies("update")
    UpdateDocument.model_validate({**body, "device": "press-07", "seq": 1})
    assert (body["state"], body["shadow"]) == ("shadowing", {"compared": 5, "agreed": 4, "of": 10})


def replace_order(seq: int = 1, frames: int = 10) -> Ordered:
    return ORDER.model_copy(update={"seq": seq, "document": f"{seq:064x}", "shadow_frames": frames})


def replace_limits(box: Box, memory_mb: float) -> Box:
    profile = box.profile
    return replace(
        box, profile=profile.model_copy(update={"limits": profile.limits.model_copy(update={"memory_mb": memory_mb})})
    )
