"""What the parts that take orders over the air tell each other: what goes live, and what the box weighs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.assembly.box import survey
from edged.assembly.over_the_air import OverTheAir, over_the_air
from edged.assembly.roster import Roster
from edged.assembly.supply import Supply
from edged.config.load import load
from edged.fleet.topics import Stamper
from edged.hardware.process import resident_mb
from edged.update.records import Release
from fakes.clock import FakeClock
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows


@pytest.fixture
def taking(tmp_path: Path) -> tuple[OverTheAir, Release]:
    """What takes orders on a box that has ``level`` live, and that release."""
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "s.csv", range(2)))
    config = load(write_config(tmp_path, 1883, source + pipeline("a"))).config
    box, clock = survey(Path("/"), "auto", ()), FakeClock()
    supply = Supply((tmp_path / "models",), config.state.directory, box, clock)
    supply.bundle("level")
    live = supply.records.pointer("level").active
    assert live is not None
    return over_the_air(config, supply, box, Roster(), FakeOutbox(), Stamper("boot-1", clock)), live


@pytest.fixture
def child() -> Iterator[None]:
    """A child of this process, with an interpreter's memory."""
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate(b"\n")


def test_what_is_activated_is_watched_anew(taking: tuple[OverTheAir, Release], tmp_path: Path) -> None:
    air, release = taking
    assert air.updating.site is not None
    assert air.updating.site.activate("level", release) is None
    note = next(tmp_path.rglob("conduct/level.json")).read_text("utf-8")
    assert f'"candidate": "{release.digest}"' in note


@pytest.mark.usefixtures("child")
def test_children_are_weighed_too(taking: tuple[OverTheAir, Release]) -> None:
    air, _ = taking
    weighs_mb = air._felt().memory_mb
    assert weighs_mb is not None
    assert weighs_mb > resident_mb() + 2.0
