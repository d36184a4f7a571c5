"""What pipelines need is summed up before a model is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.admitting import Admitting, used_mb
from edged.assembly.box import Box, survey
from edged.assembly.figures_store import FiguresStore
from edged.config.schema import Config
from edged.control.admission import need_mb
from fakes.clock import FakeClock
from fakes.sensor import picture_bundle
from fakes.still import FIGURES, HEAVY, LIGHT, still_bundle

NO_ROOM_KB = 1024


def config(folder: Path, *names: str, **more: object) -> Config:
    pipelines = [
        {"name": name, "source": "dock", "model": "still", "priority": -place, **more}
        for place, name in enumerate(names)
    ]
    document = {"device": {"id": "press-07"}, "models": {"directories": [folder / "models"]}, "pipeline": pipelines}
    return Config.model_validate(document)


def box_with(folder: Path, available_mb: int, state: Path | None = None) -> Box:
    """Give this machine, but with so much memory."""
    (folder / "proc").mkdir()
    (folder / "proc" / "meminfo").write_text(f"MemTotal: 4194304 kB\nMemAvailable: {available_mb * NO_ROOM_KB} kB\n")
    box = survey(Path("/"), "auto", ())
    limits = box.profile.limits.model_copy(update={"memory_mb": None})
    profile = box.profile.model_copy(update={"limits": limits})
    return replace(box, root=folder, profile=profile, store=FiguresStore(state) if state else None)


def test_what_was_measured_is_summed_up_with_the_smallest_variant(tmp_path: Path) -> None:
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    each_mb = FIGURES[LIGHT].peak_memory_mb
    admitting = Admitting(box_with(tmp_path, int(2.5 * each_mb), tmp_path / "state"), FakeClock())

    refused = admitting(config(tmp_path, "a", "b", "c"))

    assert list(refused) == ["c"]
    reason = refused["c"]
    assert (reason.code, reason.component, reason.fatal) == ("memory-budget", "c", True)
    assert "10 MiB (measured) + 20 MiB of a, b = 30 MiB, expected at most 25 MiB" in reason.message


def test_a_pin_asks_for_its_own_variant(tmp_path: Path) -> None:
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    admitting = Admitting(box_with(tmp_path, 30, tmp_path / "state"), FakeClock())

    assert f"{FIGURES[HEAVY].peak_memory_mb:.0f} MiB" in admitting(config(tmp_path, "a", pin=HEAVY))["a"].message


def test_what_nobody_measured_is_judged_by_its_file(tmp_path: Path) -> None:
    bundle = picture_bundle(tmp_path / "models" / "still")
    expected_mb = need_mb((bundle / "model.tflite").stat().st_size)
    admitting = Admitting(box_with(tmp_path, 20), FakeClock())

    assert f"{expected_mb:.0f} MiB (judged by its file)" in admitting(config(tmp_path, "a", "b"))["b"].message


@pytest.mark.parametrize(
    ("grown_mb", "refused"), [(20.0, ["c"]), (None, ["c"]), (0.0, ["b", "c"])], ids=["runs", "unknown", "did not open"]
)
def test_what_runs_keeps_its_memory_at_the_next_plan_and_what_holds_none_does_not(
    tmp_path: Path, grown_mb: float | None, refused: list[str]
) -> None:
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    used_mb = iter([80.0, None if grown_mb is None else 80.0 + grown_mb])
    admitting = Admitting(box_with(tmp_path, 25, tmp_path / "state"), FakeClock(), lambda: next(used_mb))
    assert list(admitting(config(tmp_path, "a", "b"))) == []
    left_mb = 5 if grown_mb != 0.0 else 19  # others took something meanwhile
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: 4194304 kB\nMemAvailable: {left_mb * NO_ROOM_KB} kB\n")

    assert list(admitting(config(tmp_path, "a", "b", "c"))) == refused


def test_what_edged_takes_is_known() -> None:
    assert (used_mb() or 0.0) > 10.0


@pytest.mark.parametrize("more", [{"model": "gone"}, {"then": [{"model": "gone"}]}])
def test_a_model_that_is_not_there_is_told_elsewhere(tmp_path: Path, more: dict[str, object]) -> None:
    picture_bundle(tmp_path / "models" / "still")
    admitting = Admitting(box_with(tmp_path, 1), FakeClock())

    assert admitting(config(tmp_path, "a", **more)) == {}


def test_a_further_model_counts_too(tmp_path: Path) -> None:
    still_bundle(tmp_path / "models" / "still", tmp_path / "state")
    assert json.loads((tmp_path / "state" / "benchmarks.json").read_bytes())["measured"]
    admitting = Admitting(box_with(tmp_path, 15, tmp_path / "state"), FakeClock())

    assert "20 MiB (measured)" in admitting(config(tmp_path, "a", then=[{"model": "still"}]))["a"].message
