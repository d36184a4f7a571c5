"""The daemon measures behind its pipelines, and goes on with what proved better."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from edged.config.share import shipped
from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow

PROFILE = """
name = "careless"
match = { arch = ["none"] }
prefer = [{ accelerator = "cpu", runtime = "onnx", precision = "fp32", threads = 1 }]
"""
EDGECTL = (sys.executable, "-c", "from edgectl.cli import main; raise SystemExit(main())")
LEFT_OVER_S = 400.0
"""Beside a daemon a measurement takes what is left over, which is next to nothing where other tests run."""
BEHIND_WITHIN_S = 420.0
"""Twenty seconds of calm, and then half a second of work spread so that the pipeline cannot feel it: a hundred seconds at first."""


@pytest.fixture
def config(broker: BrokerProcess, tmp_path: Path) -> Path:
    """Give a pipeline on the shipped parts detector whose profile prefers the slowest of the variants."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "profiles" / "careless.toml").write_text(PROFILE, "utf-8")
    picture = shipped("models") / "parts" / "golden"
    body = (
        f'[[source]]\nname = "belt"\nkind = "images"\npath = "{picture}"\nfps = 25\nloop = true\n'
        '[[pipeline]]\nname = "a"\nsource = "belt"\nmodel = "parts"\nobjective = { prefer = "latency" }\n'
    )
    file = write_config(tmp_path, broker.port, body, more=f'[profiles]\ndirectories = ["{tmp_path / "profiles"}"]')
    file.write_text(
        file.read_text("utf-8").replace('id = "press-07"', 'id = "press-07"\nprofile = "careless"'), "utf-8"
    )
    return file


def kept(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "state" / "benchmarks.json"
    found: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return found


def running(fleet: Subscriber) -> str:
    return str(fleet.last("result/a").get("model", {}).get("variant", ""))


def exchanges(fleet: Subscriber) -> list[dict[str, Any]]:
    return [alert for alert in fleet.of("alert") if alert["code"] == "variant-exchanged"]


def test_the_first_possible_variant_runs_at_once_and_a_better_one_takes_over_when_figures_show_it(
    fleet: Subscriber, run: Run, config: Path
) -> None:
    daemon = run(config)
    until(lambda: running(fleet), "a result")
    first = running(fleet)

    # What the daemon would find out in the time that its pipelines spare, at once.
    asked = ("bench", "parts", "--config", config, "--seconds", "0.2", "--threads", "1")
    said = edged(*asked, program=EDGECTL, within_s=LEFT_OVER_S)
    assert said.status == 0, said.err
    until(lambda: exchanges(fleet), "another variant takes over")
    alert = exchanges(fleet)[0]
    until(lambda: running(fleet) != first, "results of another variant")

    assert "beside a running daemon" in said.out
    assert first == "large-onnx-fp32"
    assert alert["component"] == "a"
    assert any(f"runs {running(fleet)} on cpu with " in one["message"] for one in exchanges(fleet))
    assert "in place of large-onnx-fp32 on cpu with 1 thread: " in alert["message"]
    assert "p50" in alert["message"].split(": ", 1)[1]  # why: the figures
    until(lambda: "p50" in json.dumps(fleet.last("inventory")["models"]), "the inventory tells it, too")
    assert daemon.stop()[0] == 0
    assert "model.exchanged" in daemon.said()
    results = fleet.of("result/a")
    assert numbers(results) == list(range(1, len(results) + 1))  # every result of both arrived, in order
    assert {result["status"] for result in results} == {"ok"}

    again = run(config)
    until(lambda: len(fleet.of("result/a")) > len(results), "a result after a new start")
    assert fleet.of("result/a")[len(results)]["model"]["variant"] != first  # figures are remembered
    assert again.stop()[0] == 0


@pytest.mark.skipif("EDGED_SOAK_FRAMES" not in os.environ, reason="takes minutes: make soak")
def test_behind_the_pipelines_it_is_measured_bit_by_bit(
    fleet: Subscriber, run: Run, config: Path, tmp_path: Path
) -> None:
    daemon = run(config)
    until(
        lambda: kept(tmp_path) or "candidate.postponed" in daemon.said(), "figures, or a word why not", BEHIND_WITHIN_S
    )
    assert daemon.stop()[0] == 0
    assert numbers(fleet.of("result/a")) == list(range(1, len(fleet.of("result/a")) + 1))


def test_switched_off_nothing_is_measured(fleet: Subscriber, run: Run, config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text("utf-8").replace("[models]\n", '[models]\nmeasure = "off"\n'), "utf-8")
    daemon = run(config)
    until(lambda: fleet.of("result/a"), "a result")
    began_ms = fleet.of("result/a")[0]["mono_ms"]
    until(lambda: fleet.last("result/a")["mono_ms"] > began_ms + 30_000, "half a minute of results", 120.0)
    assert running(fleet) == "large-onnx-fp32"
    assert daemon.stop()[0] == 0
    assert kept(tmp_path) == {}
