"""What the parts that take orders over the air tell each other: what goes live, and what the box weighs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.assembly.box import survey
from edged.assembly.over_the_air import OverTheAir, folder_of, over_the_air
from edged.assembly.roster import Roster
from edged.assembly.safe import SafePlanner
from edged.assembly.supply import Supply
from edged.config.load import load
from edged.daemon import Daemon
from edged.domain.errors import DeviceError
from edged.fleet.topics import Stamper
from edged.hardware.process import resident_mb
from edged.update.records import Release
from fakes.clock import FakeClock
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.part import FakeNotifier, FakeOffice
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import until


def test_a_folder_is_named_as_a_child_in_another_folder_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [folder_of(one) for one in ("stick", "file:///stick", "mqtt")] == [tmp_path / "stick", Path("/stick"), None]


@pytest.fixture
def taking(tmp_path: Path) -> tuple[OverTheAir, Release]:
    """What takes orders on a box that has ``level`` live, and that release."""
    air = made(tmp_path)
    live = air._supply.records.pointer("level").active
    assert live is not None
    return air, live


def made(tmp_path: Path, more: str = "") -> OverTheAir:
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "s.csv", range(2)))
    config = load(write_config(tmp_path, 1883, source + pipeline("a"), more=more)).config
    box, clock = survey(Path("/"), "auto", ()), FakeClock()
    supply = Supply((tmp_path / "models",), config.state.directory, box, clock)
    supply.bundle("level")
    return over_the_air(config, supply, box, Roster(), FakeOutbox(), Stamper("boot-1", clock))


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


def test_a_share_that_hangs_holds_nobody_up_who_looks_after_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may, begun, ended = threading.Event(), list[Path](), list[Path]()

    def hangs(file: Path) -> bytes:
        begun.append(file)
        may.wait(20.0)
        ended.append(file)
        return b""

    monkeypatch.setattr("edged.assembly.stick._read", hangs)
    air = made(tmp_path, more=f'[updates]\nrepository = "{tmp_path}"\ntrust = "{tmp_path / "root.json"}"\n')

    for _ in range(2):
        assert air.updating.tick() == 30.0

    until(lambda: begun, "it looks")
    assert (len(begun), ended) == (1, [])
    may.set()
    until(lambda: ended, "it has looked")
    until(lambda: air.updating.tick() and len(begun) == 2, "it looks again")


@pytest.mark.usefixtures("child")
def test_children_are_weighed_too(taking: tuple[OverTheAir, Release]) -> None:
    air, _ = taking
    weighs_mb = air._felt().memory_mb
    assert weighs_mb is not None
    assert weighs_mb > resident_mb() + 2.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pinned", "why"), [("other", "this box can run none of its variants pinned to other"), ("fp32", "")]
)
def test_a_release_is_tried_as_the_pipelines_pin_it(
    taking: tuple[OverTheAir, Release], tmp_path: Path, pinned: str, why: str
) -> None:
    air, release = taking
    file = write_config(tmp_path, 1883, csv_source(tmp_path / "s.csv") + pipeline("a", more=f'pin = "{pinned}"'))
    config = load(file).config
    daemon = Daemon(SafePlanner(config, ()), FakeOffice(), FakeNotifier(), FakeClock())
    air.connect(file, daemon, lambda: config, lambda: True, dict)
    bundle, site = air._supply.stored("level", release), air.updating.site
    assert bundle is not None
    assert site is not None

    tried: list[str] = []

    def is_tried() -> bool:
        try:
            trial = site.trial(bundle)
        except DeviceError as error:
            tried.append(str(error.args[0]).rpartition(": ")[2])
        else:
            tried.extend([trial.reason] if trial is not None else [])
        return bool(tried)

    until(is_tried, "it was tried")
    assert tried == [why]


def test_while_a_candidate_runs_beside_it_nothing_is_blamed_for_the_memory_of_both(
    taking: tuple[OverTheAir, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    air, _ = taking
    assert air._felt().memory_mb is not None
    with monkeypatch.context() as busy:
        busy.setattr(type(air._shadowing), "is_busy", True)
        assert air._felt().memory_mb is None
    assert air._felt().memory_mb is not None
