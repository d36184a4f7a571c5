"""``edgectl drift`` on what a daemon has left in its state directory."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.assembly.drift_files import DriftFiles, read_reference
from edged.pipeline.drift import Monitor
from edged.pipeline.drift_learning import Row
from fakes.daemon import Said, edged, write_config
from fakes.streams import camera, shifted, watched

pytestmark = pytest.mark.slow

EDGECTL = (sys.executable, "-c", "from edgectl.cli import main; raise SystemExit(main())")
BODY = '[[source]]\nname = "yard"\nkind = "images"\npath = "/nowhere"\n[[pipeline]]\nname = "gate"\nsource = "yard"\nmodel = "parts"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, 1883, BODY)


def drift(config: Path, *arguments: str | Path) -> Said:
    return edged("drift", *arguments, "--config", config, program=EDGECTL)


def recorded(folder: Path, rows: list[Row], model: str = "parts 1.0.0") -> DriftFiles:
    files = DriftFiles(folder / "state", "gate")
    (folder / "state").mkdir(exist_ok=True)
    files.append((row, model) for row in rows)
    return files


def month(days: float) -> list[Row]:
    return camera(days, 120, 0.8, np.random.default_rng(3))


def test_what_was_recorded_is_learned_and_shown_before_and_after_it_drifts(tmp_path: Path, config: Path) -> None:
    files = recorded(tmp_path, month(6))

    said = drift(config, "learn", "gate", "--minutes", "8640")
    assert said.status == 0, said.err
    assert "input.luma" in said.out
    reference = read_reference(files.reference)
    assert reference is not None
    assert reference.about["model"] == "parts 1.0.0"
    assert len(reference.features) == 5

    monitor = Monitor(reference)
    later = shifted(month(8)[-1440:], "input.luma", -40)
    watched(monitor, later)
    files.append((row, "parts 1.0.0") for row in later)
    files.write_state(reference, monitor.state())
    told = json.loads(drift(config, "show", "gate", "--json").out)
    assert [one["name"] for one in told["features"] if one["drifts"]] == ["input.luma"]

    picture = tmp_path / "drift.png"
    said = drift(config, "show", "gate", "--plot", picture)
    assert said.status == 0, said.err
    assert "drifts" in said.out
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.std() > 5


def test_what_another_model_said_is_not_learned(tmp_path: Path, config: Path) -> None:
    recorded(tmp_path, month(6), model="parts 0.9.0")
    files = recorded(tmp_path, month(6)[-1:])
    assert drift(config, "learn", "gate", "--minutes", "8640").status == 0
    reference = read_reference(files.reference)
    assert reference is not None
    assert {one.name.split(".")[0] for one in reference.features} == {"input"}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("learn", "gate"), "no figures lie in"),
        (("learn", "door"), "the configuration has gate"),
        (("show", "gate"), "neither the site nor its bundle has a reference"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_next_step(config: Path, arguments: tuple[str, ...], wanted: str) -> None:
    said = drift(config, *arguments)
    assert said.status == 2
    assert wanted in said.err
    assert len(said.err.splitlines()) == 1


def test_too_few_figures_teach_nothing(tmp_path: Path, config: Path) -> None:
    recorded(tmp_path, month(6)[:20])
    said = drift(config, "learn", "gate")
    assert said.status == 2
    assert "no feature has enough figures" in said.err
    assert "input.luma is not watched: it has 20 samples" in said.out
