"""``edgectl bench`` as its users run it: without a daemon and without a configuration."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from edged.assembly.state import Lock
from edged.control.figures import read_measured
from fakes.daemon import Said, edged
from fakes.sensor import sensor_bundle

pytestmark = pytest.mark.slow

EDGECTL = (sys.executable, "-c", "from edgectl.cli import main; raise SystemExit(main())")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return sensor_bundle(tmp_path / "level")


def bench(model: Path | str, tmp_path: Path, *more: str | Path) -> Said:
    options = ("--threads", "1", "--seconds", "0.05", "--state", tmp_path / "state")
    return edged("bench", model, *options, *more, program=EDGECTL)


def test_any_folder_is_measured_and_the_choice_told(model: Path, tmp_path: Path) -> None:
    said = bench(model, tmp_path)
    assert said.status == 0, said.err
    assert "level 1.0.0, profile " in said.out
    assert "* chosen" in said.out
    assert "before: " in said.out
    assert "after: " in said.out
    assert f"kept in {tmp_path / 'state'}" in said.out


def test_json_is_a_file_of_figures_that_the_next_run_is_compared_with(model: Path, tmp_path: Path) -> None:
    said = bench(model, tmp_path, "--json")
    assert said.status == 0, said.err
    run = json.loads(said.out)
    assert [row["variant"] for row in run["rows"]] == ["fp32"]
    assert set(run["before"]) == set(run["after"]) >= {"hottest_c", "throttled", "under_voltage"}
    for one in read_measured(run):
        assert one.figures[0].threads == 1
    kept = tmp_path / "run.json"
    kept.write_text(said.out, "utf-8")
    again = bench(model, tmp_path, "--compare", kept)
    assert again.status == 0, again.err
    assert ("than before" in again.out) == bool(run["measured"])


def test_there_is_no_last_run_before_the_first(model: Path, tmp_path: Path) -> None:
    said = bench(model, tmp_path, "--compare", "last")
    assert said.status == 2
    assert "cannot compare with the last run" in said.err


def test_latencies_are_drawn(model: Path, tmp_path: Path) -> None:
    said = bench(model, tmp_path, "--plot", tmp_path / "plot.png")
    assert said.status == 0, said.err
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--objective", "prefer=beauty"), "cannot use objective 'prefer=beauty'"),
        (("--plot", "/nowhere/plot.png"), "cannot draw /nowhere/plot.png"),
        (("--compare", "/nowhere/run.json"), "cannot read figures /nowhere/run.json"),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(
    model: Path, tmp_path: Path, options: tuple[str, str], words: str
) -> None:
    said = bench(model, tmp_path, *options)
    assert said.status == 2, said.err
    assert words in said.err


def test_an_unknown_model_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    said = bench("stranger", tmp_path)
    assert said.status == 1
    assert "cannot find model 'stranger': the bundles are " in said.err


def test_a_file_that_its_runtime_refuses_is_a_row_with_the_reason(model: Path, tmp_path: Path) -> None:
    (model / "model.tflite").write_bytes(b"no model")
    said = bench(model, tmp_path)
    assert said.status == 0, said.err
    assert "fp32: refused: cannot use file 'model.tflite': it was truncated or altered" in said.out.replace("\n", " ")


def test_beside_a_daemon_it_says_that_it_takes_only_what_is_left(model: Path, tmp_path: Path) -> None:
    config = tmp_path / "edged.toml"
    config.write_text(f'[device]\nid = "box"\n[state]\ndirectory = "{tmp_path / "daemon"}"\n', "utf-8")
    lock = Lock(tmp_path / "daemon")
    said = edged("bench", model, "--threads", "1", "--seconds", "0.05", "--config", config, program=EDGECTL)
    lock.release()
    assert said.status == 0, said.err
    assert "beside a running daemon" in said.out
    assert f"kept in {tmp_path / 'daemon'}" in said.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_without_root_figures_are_kept_at_home(model: Path, tmp_path: Path) -> None:
    said = edged(
        "bench", model, "--threads", "1", "--seconds", "0.05", program=EDGECTL, env={"XDG_STATE_HOME": str(tmp_path)}
    )
    assert said.status == 0, said.err
    assert f"kept in {tmp_path / 'edged'}" in said.out
