"""``edged explain`` for captured boards, compared with the texts in tests/explain; some with recorded figures (written, not measured)."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.assembly.explain import explained, read_figures, read_objective
from edged.assembly.texts import ladder_text
from edged.config.schema import Config, Objective
from edged.domain.errors import ConfigError
from edged.update.manifest import read_bundle
from fakes.ladderbundle import ladder_bundle

GOLDENS = Path(__file__).resolve().parents[1] / "explain"
BOARDS = {
    "rpi5-8gb": "latency_ms=40",
    "rpi4-model-b-8gb": "latency_ms=15,fps=30",
    "intel-n100-beelink-eq": "fps=15,prefer=energy",
    "jetson-orin-nano-devkit-r35": "",
    "container-cgroup2-nested-limits": "latency_ms=100,prefer=memory",
    "rpi3-model-b-armhf-userland": "latency_ms=200",
    "coral-dev-board": "prefer=latency",
    "rock5b-rk3588-bsp": "",
}
"""Captured boards, and the objective that is asked of them."""


def text_of(board: str, devices: Path, folder: Path) -> str:
    """Give what ``edged explain`` says of the test bundle on a board."""
    bundle = read_bundle(ladder_bundle(folder / "crates"))
    figures = GOLDENS / f"{board}.figures.json"
    config = Config.model_validate({"device": {"id": "box"}})
    return ladder_text(
        explained(bundle, config, devices / board, figures if figures.exists() else None, BOARDS[board] or None)
    )


@pytest.mark.assets
@pytest.mark.parametrize("board", BOARDS)
def test_a_boards_ladder_is_explained_as_before(board: str, assets: Path, tmp_path: Path) -> None:
    # After a wanted change: write text_of(...) to the file, and read what changed.
    assert text_of(board, assets / "devices", tmp_path) + "\n" == (GOLDENS / f"{board}.txt").read_text("utf-8")


def test_an_objective_is_read_as_pairs() -> None:
    assert read_objective("latency_ms=80, fps = 10,prefer=energy") == Objective(latency_ms=80, fps=10, prefer="energy")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latency_ms=0", "latency_ms: cannot use 0.0: expected a number above 0"),
        ("latency_ms=fast", "latency_ms: cannot use 'fast'"),
        ("speed=1", "speed: "),
        ("", "cannot use objective ''"),
    ],
)
def test_an_objective_that_cannot_be_used_is_refused_with_how_to_write_one(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match="cannot use objective") as caught:
        read_objective(text)
    assert fault in str(caught.value)
    assert caught.value.remedy == "write it as latency_ms=80,fps=10,prefer=accuracy"


def test_figures_that_cannot_be_read_are_refused_with_the_files_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read figures .*absent.json: No such file"):
        read_figures(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"cannot use figures .*bad.json: cannot read figures of schema None"):
        read_figures(tmp_path / "bad.json")
    (tmp_path / "worse.json").write_text("{")
    with pytest.raises(ConfigError, match=r"cannot use figures .*worse.json: "):
        read_figures(tmp_path / "worse.json")


def test_the_pipelines_own_objective_and_pin_are_explained_unless_another_is_asked_for(tmp_path: Path) -> None:
    bundle = read_bundle(ladder_bundle(tmp_path / "crates"))
    pipeline = {"name": "a", "source": "s", "model": "crates", "objective": {"fps": 5}, "pin": "small-tflite-int8"}
    config = Config.model_validate({"device": {"id": "box"}, "pipeline": [pipeline]})
    own = explained(bundle, config, tmp_path, None, None)
    asked = explained(bundle, config, tmp_path, None, "prefer=memory")
    assert (own["objective"]["fps"], asked["objective"]["prefer"]) == (5, "memory")
    assert [rung["id"] for rung in own["variants"] if rung["verdict"] != "refused"] == ["small-tflite-int8"]
