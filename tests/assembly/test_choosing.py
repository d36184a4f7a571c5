"""From a choice to a model that runs: the objective decides, what does not open is passed over once, and what is not met is told."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.amiss import lesser
from edged.assembly.box import Box, survey
from edged.assembly.models import open_best
from edged.assembly.supply import Supply
from edged.config.schema import Objective
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures
from edged.update.manifest import read_bundle
from fakes.clock import FakeClock
from fakes.twovariants import FAST, SLOW, figures_on, two_variants


def row(threads: int, p99_ms: float) -> Figures:
    return Figures(threads, 100, p99_ms, p99_ms, p99_ms * threads, 5.0, 10.0)


ROWS = {FAST: (row(1, 10.0), row(2, 6.0)), SLOW: (row(1, 50.0), row(2, 30.0))}
IN_20_MS = Objective(latency_ms=20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return two_variants(tmp_path / "models" / "level")


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    return read_bundle(folder)


@pytest.fixture
def box(folder: Path) -> Box:
    """Give this machine, with figures of both variants; two processors are enough."""
    found = survey(Path("/"), "auto", ())
    cpu = replace(found.inventory.cpu, allowed=2.0)
    found = replace(found, inventory=replace(found.inventory, cpu=cpu))
    return replace(found, recorded=figures_on(found, folder, ROWS))


def spoil(folder: Path, file: str) -> None:
    """Put what no runtime opens into a file's place, under its own digest."""
    manifest, content = folder / "model.toml", b"no model at all" * 100
    old = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / file).write_bytes(content)
    manifest.write_text(manifest.read_text().replace(old, hashlib.sha256(content).hexdigest()))


def test_the_objective_decides_what_is_opened(bundle: Bundle, box: Box) -> None:
    slow, fast = open_best(bundle, box), open_best(bundle, box, objective=IN_20_MS)
    assert (slow.model.ref.variant, slow.rung.threads) == (SLOW, 2)
    assert (fast.model.ref.variant, fast.rung.threads, fast.unmet) == (FAST, 2, "")


def test_what_is_not_met_is_told_with_what_runs(bundle: Bundle, box: Box) -> None:
    opened = open_best(bundle, box, objective=Objective(latency_ms=1))
    assert opened.unmet == (
        "cannot meet accuracy within 1 ms: fp32 on cpu with 2 threads comes nearest, with latency 6 of 1 ms"
    )


def test_a_file_that_does_not_open_is_passed_over_once_and_the_next_one_is_judged_for_itself(
    folder: Path, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(folder, "model.tflite")
    box = replace(box, recorded=figures_on(box, folder, ROWS))

    with caplog.at_level(logging.WARNING, "edged.models"):
        opened = open_best(read_bundle(folder), box, objective=IN_20_MS)

    assert opened.model.ref.variant == SLOW
    assert opened.passed_over.startswith("fp32 on cpu: cannot")
    assert len(caplog.records) == 1  # of two rungs, with 1 and 2 threads
    assert opened.unmet == "misses the objective: latency 30 of 20 ms"


def test_what_was_tried_runs_only_if_it_is_what_the_objective_chooses(folder: Path, box: Box, tmp_path: Path) -> None:
    supply = Supply((folder.parent,), tmp_path / "state", box, FakeClock())
    fast = supply.open("level", None, objective=IN_20_MS)
    slow = supply.open("level", None, objective=Objective())
    assert (fast.model.ref.variant, slow.model.ref.variant) == (FAST, SLOW)


def test_the_supply_knows_what_runs_by_what_was_asked(folder: Path, box: Box, tmp_path: Path) -> None:
    just_so = Objective(latency_ms=31)
    supply = Supply((folder.parent,), tmp_path / "state", box, FakeClock())
    opened = supply.open("level", None, objective=just_so, running=(FAST, "cpu", 2))
    assert opened.model.ref.variant == FAST  # 30 of 31 ms is not enough to take its place
    assert supply.ladder(opened.bundle, None, just_so).rungs[0].variant.id == FAST
    assert supply.ladder(opened.bundle, "large", just_so).rungs[0].variant.id == SLOW


def test_every_model_that_was_opened_may_have_changed_a_ladder(folder: Path, box: Box, tmp_path: Path) -> None:
    supply = Supply((folder.parent,), tmp_path / "state", box, FakeClock())
    assert supply.choices == 0
    supply.open("level", None)
    assert supply.choices == 1


def test_a_variant_that_does_not_open_is_told_before_an_objective_that_is_not_met() -> None:
    clock = FakeClock()
    told = [lesser("a", *what, clock) for what in (("x: gone", "too slow"), ("", "too slow"), ("", ""))]
    assert [reason and reason.code for reason in told] == ["variant-fallback", "objective-unmet", None]
    assert told[1]
    assert (told[1].component, told[1].message) == ("a", "too slow")
