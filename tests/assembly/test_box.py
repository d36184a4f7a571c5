"""What is known of a box when it chooses: figures, what must not run, and room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.box import Box, known_of, ladder, runtime_versions, survey, survey_for
from edged.assembly.explain import read_figures
from edged.assembly.figures_store import FiguresStore
from edged.config.schema import Config, Objective
from edged.control.benchmark import Refused
from edged.control.profile import Bounds
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured, Subject
from edged.hardware.runtimes import InstalledRuntime
from edged.update.manifest import read_bundle
from fakes.ladderbundle import digest, ladder_bundle

LARGE, SMALL = "large-tflite-int8", "small-tflite-int8"
RUNTIMES = (
    InstalledRuntime("tflite", "ai-edge-litert", "2.3.0"),
    InstalledRuntime("tflite", "tflite-runtime", "2.14.0", degraded=True),
)
MEMINFO = "MemTotal: 1024000 kB\nMemAvailable: {kib} kB\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read_bundle(ladder_bundle(tmp_path / "crates"))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """Give a box of which only the memory is known, with 100 MiB to spare, and a store of figures."""
    (tmp_path / "root" / "proc").mkdir(parents=True)
    (tmp_path / "root" / "proc" / "meminfo").write_text(MEMINFO.format(kib=100 * 1024))
    found = survey(tmp_path / "root", "generic", ())
    return replace(found, store=FiguresStore(tmp_path / "state"), runtimes=RUNTIMES)


def subject(variant: str, version: str = "2.3.0") -> Subject:
    return Subject(digest(variant), "tflite", version, "cpu", "generic")


def measured(variant: str, memory_mb: float = 10.0, *, p99_ms: float = 10.0) -> Measured:
    row = Figures(1, 100, p99_ms, p99_ms, p99_ms, 5.0, memory_mb)
    return Measured(subject(variant), (row,), "here", "2026-11-21T12:00:00Z")


def keep(box: Box, *found: Measured) -> None:
    assert box.store is not None
    for one in found:
        box.store.keep(one)


def first(bundle: Bundle, box: Box, objective: Objective | None = None) -> str:
    return ladder(bundle, box, objective=objective).rungs[0].variant.id


def test_the_version_of_a_runtime_is_that_of_the_package_that_is_used(box: Box) -> None:
    assert runtime_versions(box) == {"tflite": "2.3.0"}


def test_what_the_box_has_measured_decides(bundle: Bundle, box: Box) -> None:
    keep(box, measured(SMALL, p99_ms=5), measured(LARGE, p99_ms=30))
    assert first(bundle, box) == LARGE
    assert first(bundle, box, Objective(latency_ms=20)) == SMALL


def test_figures_of_a_version_that_is_not_installed_any_more_do_not_count(bundle: Bundle, box: Box) -> None:
    keep(box, replace(measured(SMALL), subject=subject(SMALL, "2.2.0")))
    assert all(rung.figures is None for rung in ladder(bundle, box).rungs)


def test_figures_that_travel_with_the_bundle_count(bundle: Bundle, box: Box) -> None:
    figures = Path(__file__).resolve().parents[1] / "explain" / "container-cgroup2-nested-limits.figures.json"
    (bundle.folder / "benchmarks.json").write_bytes(figures.read_bytes())
    assert {one.origin for one in known_of(bundle, box).measured} == {"bundle"}
    assert ladder(bundle, replace(box, runtimes=())).rungs[0].figures is not None


def test_recorded_figures_stand_in_for_everything_else(bundle: Bundle, box: Box) -> None:
    keep(box, measured(LARGE))
    assert known_of(bundle, replace(box, recorded=(measured(SMALL),))).measured == (measured(SMALL),)
    assert first(bundle, replace(box, recorded=(measured(SMALL),))) == SMALL


def test_what_crashed_here_is_refused_unless_the_runtime_is_another_now(bundle: Bundle, box: Box) -> None:
    assert box.store is not None
    for name, version, threads in ((LARGE, "2.3.0", None), (SMALL, "2.2.0", None), ("large-tflite-fp32", "2.3.0", 4)):
        box.store.refuse(Refused(subject(name, version), threads, "it crashed", "2026-11-21T12:00:00Z"))
    refused = [rung.variant.id for rung in ladder(bundle, box).rungs if "it crashed" in rung.reason]
    assert refused == [LARGE]


def test_what_has_no_room_here_does_not_run(bundle: Bundle, box: Box) -> None:
    keep(box, measured(LARGE, 101), measured(SMALL, 99))
    assert first(bundle, box) == SMALL


def test_the_memory_of_what_runs_is_room_for_what_takes_its_place(bundle: Bundle, box: Box) -> None:
    keep(box, measured(LARGE, 150), measured(SMALL, 60))
    assert ladder(bundle, box).rungs[0].variant.id == SMALL
    assert ladder(bundle, box, running=(SMALL, "cpu", 1)).rungs[0].variant.id == LARGE
    assert ladder(bundle, box, running=("unmeasured", "cpu", 1)).rungs[0].variant.id == SMALL


def test_the_profiles_bound_is_for_all_that_this_process_uses(bundle: Bundle, box: Box) -> None:
    here = replace(box, profile=box.profile.model_copy(update={"limits": Bounds(memory_mb=64)}), is_this_machine=True)
    keep(here, measured(SMALL, 60))
    # Python alone is larger than the 4 MiB that this would leave.
    assert [rung.standing for rung in ladder(bundle, here).told if rung.variant.id == SMALL] == ["misses"]
    there = replace(here, is_this_machine=False)
    assert [rung.standing for rung in ladder(bundle, there).told if rung.variant.id == SMALL] == ["meets"]


def test_only_this_machine_has_a_store(tmp_path: Path) -> None:
    config = Config.model_validate({"device": {"id": "box"}, "state": {"directory": str(tmp_path / "state")}})
    assert survey_for(config, tmp_path).store is None
    assert repr(survey_for(config).store).startswith(f"<FiguresStore {tmp_path / 'state' / 'benchmarks.json'}")


def test_a_written_file_of_figures_is_one_and_says_that_it_is_written() -> None:
    for file in (Path(__file__).resolve().parents[1] / "explain").glob("*.figures.json"):
        assert len(read_figures(file)) >= 6, file
        assert "measured on nothing" in file.read_text("utf-8")
