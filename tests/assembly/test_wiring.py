from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edged.assembly.box import Box, survey
from edged.assembly.lines import Lines
from edged.assembly.planner import FIXED_SECTIONS, Planner
from edged.assembly.state import kept_config
from edged.assembly.supply import Supply
from edged.assembly.wiring import load_or_fall_back
from edged.config.load import RejectedConfigError
from edged.config.schema import Config
from edged.fleet.topics import Stamper
from fakes.clock import FakeClock
from fakes.daemon import write_config
from fakes.outbox import FakeOutbox
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows

MakePlanner = Callable[[str], Planner]


@pytest.fixture(scope="module")
def box() -> Box:
    """Give this machine with the shipped profiles."""
    return survey(Path("/"), "auto", ())


@pytest.fixture
def planner(tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch) -> MakePlanner:
    """Give a function that writes a configuration and makes its planner."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    sensor_bundle(tmp_path / "models" / "level")
    write_windows(tmp_path / "spindle.csv", [1.0, 2.0])

    def make(body: str) -> Planner:
        file, clock = write_config(tmp_path, 1883, body), FakeClock()
        loaded, fallen_back = load_or_fall_back(file)
        supply = Supply((tmp_path / "models",), tmp_path / "state", box, clock)
        lines = Lines(supply, FakeOutbox(), Stamper("boot-1", clock), clock)
        return Planner(file, loaded, fallen_back, lines, clock)

    return make


@pytest.fixture
def body(tmp_path: Path) -> str:
    """Give one source with one pipeline."""
    return csv_source(tmp_path / "spindle.csv") + pipeline("a")


def test_a_sound_configuration_is_one_part_a_source_and_no_reason(planner: MakePlanner, body: str) -> None:
    plan = planner(body + csv_source(Path("/b.csv"), "other") + pipeline("b", source="other"))()
    assert [part.name for part in plan.parts] == ["spindle", "other"]
    assert plan.reasons == ()


def test_pipelines_on_one_source_are_one_part_the_most_important_first(planner: MakePlanner, body: str) -> None:
    more = pipeline("b", more="priority = 5") + pipeline("c", more="priority = -5") + pipeline("d")
    (part,) = planner(body + more)().parts
    assert [one.name for one in part.settings[1]] == ["b", "a", "d", "c"]


def test_the_source_of_the_most_important_pipeline_starts_first(planner: MakePlanner, body: str) -> None:
    more = csv_source(Path("/b.csv"), "other") + pipeline("b", source="other", more="priority = 5")
    assert [part.name for part in planner(body + more)().parts] == ["other", "spindle"]


def test_a_source_that_nobody_reads_is_not_opened(planner: MakePlanner, body: str) -> None:
    plan = planner(body + csv_source(Path("/b.csv"), "idle"))()
    assert [part.name for part in plan.parts] == ["spindle"]


def test_a_fault_becomes_the_reason_why_its_pipeline_does_not_run(planner: MakePlanner, body: str) -> None:
    plan = planner(body + '[[pipeline]]\nname = "typo"\nsource = "spindle"\nmodle = "level"\n')()
    assert [part.name for part in plan.parts] == ["spindle"]
    assert {reason.component for reason in plan.reasons} == {"typo"}
    assert any("pipeline[1].modle" in reason.message for reason in plan.reasons)
    assert {(reason.code, reason.fatal, reason.remedy) for reason in plan.reasons} == {
        ("config", True, "mend the file and reload")
    }


def test_what_runs_is_kept(planner: MakePlanner, body: str) -> None:
    made = planner(body)
    made()
    assert kept_config() == made.config


def test_a_configuration_that_cannot_be_read_runs_as_it_was_and_says_so(
    planner: MakePlanner, body: str, tmp_path: Path
) -> None:
    before = planner(body)()
    write_config(tmp_path, 1883, body)

    made = planner("[device")
    plan = made()

    assert [part.settings for part in plan.parts] == [part.settings for part in before.parts]
    assert [reason.code for reason in plan.reasons] == ["config-fallback"]


def test_a_mended_file_ends_the_fallback(planner: MakePlanner, body: str, tmp_path: Path) -> None:
    planner(body)()
    made = planner("[device")
    made()
    write_config(tmp_path, 1883, body)
    assert made().reasons == ()


def test_a_reload_of_a_broken_file_is_refused(planner: MakePlanner, body: str, tmp_path: Path) -> None:
    made = planner(body)
    made()
    (tmp_path / "edged.toml").write_text("[device")
    with pytest.raises(RejectedConfigError):
        made()
    assert made.config.pipeline[0].name == "a"


def test_parts_that_did_not_change_are_the_same_after_a_reload(planner: MakePlanner, body: str, tmp_path: Path) -> None:
    made = planner(body)
    (before,) = made().parts
    write_config(tmp_path, 1883, body + csv_source(Path("/b.csv"), "other") + pipeline("b", source="other"))
    after = {part.name: part for part in made().parts}
    assert after["spindle"].settings == before.settings
    assert "other" in after


@pytest.mark.parametrize(
    ("old", "new", "section"),
    [
        ('id = "press-07"', 'id = "press-08"', "device"),
        ("port = 1883", "port = 1884", "mqtt"),
        ("interval_s = 1", "interval_s = 2", "telemetry"),
        ('/state"', '/other-state"', "state"),
        ('/models"', '/other-models"', "models"),
        ("[telemetry]", '[updates]\nwindow = "01:00-02:00"\n[telemetry]', "updates"),
        ("[telemetry]", '[engine.edgetpu]\npython = "/usr/bin/python3"\n[telemetry]', "engine"),
        ("[telemetry]", '[remote.level]\nurl = "http://127.0.0.1:8000"\n[telemetry]', "remote"),
        ("[telemetry]", "[tracing]\n[telemetry]", "tracing"),
    ],
)
def test_what_takes_a_restart_is_told_until_it_came(
    planner: MakePlanner, body: str, tmp_path: Path, old: str, new: str, section: str
) -> None:
    made = planner(body)
    made()
    file = tmp_path / "edged.toml"
    file.write_text(file.read_text().replace(old, new))

    for _ in range(2):
        (reason,) = made().reasons
        assert (reason.code, reason.remedy, reason.fatal) == ("restart-needed", "restart edged", False)
        assert f"[{section}]" in reason.message

    file.write_text(file.read_text().replace(new, old))
    assert made().reasons == ()


def test_every_section_is_taken_up_by_a_reload_or_takes_a_restart() -> None:
    taken_up = {"source", "pipeline", "action", "http", "grpc"}
    assert {*FIXED_SECTIONS} | taken_up == set(Config.model_fields)
    assert taken_up.isdisjoint(FIXED_SECTIONS)


def test_a_planned_part_is_built_and_runs_to_its_end(planner: MakePlanner, body: str) -> None:
    (part,) = planner(body)().parts
    line = part.build()
    line.start()
    while not line.ended:
        assert line.reasons() == []
        line.pipelines[0].worker.join(0.01)
    line.stop()
    assert line.join(30)
    assert line.pipelines[0].metrics.results == 2
