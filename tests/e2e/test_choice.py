"""One box, one model, kept figures: what a pipeline asks for decides alone which variant runs, and the box says why."""

from __future__ import annotations

import json
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edged.assembly.box import survey
from edged.control.figures import to_document
from edged.domain.figures import Figures
from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import Run, edged, write_config
from fakes.sensor import csv_source, pipeline, write_windows
from fakes.subscriber import Subscriber
from fakes.twovariants import FAST, SLOW, figures_on, two_variants
from fakes.waiting import until

pytestmark = pytest.mark.slow

MEASURED = {FAST: Figures(1, 100, 8.0, 10.0, 8.0, 5.0, 10.0), SLOW: Figures(1, 100, 40.0, 50.0, 40.0, 5.0, 40.0)}


def keep_figures(bundle: Path, state: Path) -> None:
    """Write what was measured of both where the daemon looks for it."""
    rows = {name: (row,) for name, row in MEASURED.items()}
    state.mkdir(exist_ok=True)
    measured = figures_on(survey(Path("/"), "auto", ()), bundle, rows)
    (state / "benchmarks.json").write_text(json.dumps(to_document(measured)), "utf-8")


def write(folder: Path, port: int, objective: str, http: int) -> Path:
    recording = write_windows(folder / "spindle.csv", range(100))
    source = csv_source(recording, more='pace = "recorded"\nloop = true')
    body = source + pipeline("a", more=f"objective = {objective}")
    file = write_config(folder, port, body, more=f'[http]\nlisten = "127.0.0.1:{http}"')
    text = file.read_text("utf-8").replace("[models]\n", '[models]\nmeasure = "off"\n')
    file.write_text(text, "utf-8")
    return file


def chosen(fleet: Subscriber) -> dict[str, Any]:
    (ladder,) = fleet.last("inventory")["models"]
    found: dict[str, Any] = ladder["variants"][0]
    return found


def running(fleet: Subscriber) -> str:
    return str(fleet.last("result/a").get("model", {}).get("variant", ""))


def ready(http: int) -> tuple[int, str]:
    """Give the probe's status and body; nothing of them while it does not answer with success."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{http}/readyz", timeout=10) as said:
        return said.status, said.read().decode()
    return 0, ""


def test_the_objective_alone_changes_which_variant_runs_and_the_reason_says_why(
    fleet: Subscriber, run: Run, broker: BrokerProcess, tmp_path: Path
) -> None:
    keep_figures(two_variants(tmp_path / "models" / "level"), tmp_path / "state")
    http = free_port()
    daemon = run(write(tmp_path, broker.port, "{ latency_ms = 80 }", http))
    until(lambda: running(fleet) == SLOW, "the more accurate variant, which meets 80 ms")
    until(lambda: fleet.last("health") and fleet.last("inventory").get("models"), "the box's health and inventory")
    assert chosen(fleet)["reason"].startswith(
        "the fastest of the most accurate that meets the objective: AUC 0.990, latency 50 of 80 ms"
    )
    until(lambda: fleet.codes() == set(), "nothing is amiss")
    until(lambda: ready(http) == (200, ""), "it is ready, and nothing is amiss")

    write(tmp_path, broker.port, "{ latency_ms = 20 }", http)
    daemon.reload()
    until(lambda: running(fleet) == FAST, "the fast variant, which alone meets 20 ms")
    until(lambda: "latency 10 of 20 ms" in chosen(fleet)["reason"], "why it runs")
    assert chosen(fleet)["figures"]["p99_ms"] == MEASURED[FAST].p99_ms

    write(tmp_path, broker.port, "{ latency_ms = 5 }", http)
    daemon.reload()
    until(lambda: "objective-unmet" in fleet.codes(), "the box says that nothing meets 5 ms")
    assert fleet.reason("a") == (
        "cannot meet accuracy within 5 ms: fp32 on cpu with 1 thread comes nearest, with latency 10 of 5 ms"
    )
    until(lambda: fleet.last("inventory")["models"][0]["unmet"] == fleet.reason("a"), "the inventory says so too")
    assert running(fleet) == FAST
    until(lambda: ready(http) == (200, "objective-unmet\n"), "it is ready, and says that the objective is not met")

    told = edged("explain", "level", "--config", tmp_path / "edged.toml")
    assert told.status == 0
    assert "\nNOT met: cannot meet accuracy within 5 ms: fp32 on cpu with 1 thread comes nearest" in told.out
    assert daemon.stop()[0] == 0
