"""A heat ramp under the real daemon: it does less step by step, tells each, loses no frame, and does all of it again."""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edged.fleet.schemas import AlertDocument, HealthDocument, InventoryDocument
from fakes.brokers import BrokerProcess
from fakes.daemon import Run, write_config
from fakes.sensor import pipeline
from fakes.still import HEAVY, LIGHT, still_bundle, still_source
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow

CALM_S = 30.0 if "EDGED_SOAK_FRAMES" in os.environ else 4.0
"""`make soak` waits as long as a box does."""
WITH_SYSROOT = """
import functools, sys
from pathlib import Path
from edged.assembly import wiring
from edged.control.governor import Standing
standing = Standing(calm_needed_s={calm_s!r})
wiring.Governing = functools.partial(wiring.Governing, standing=standing)
wiring.build_daemon = functools.partial(wiring.build_daemon, sysroot=Path({root!r}))
from edged.cli import main
raise SystemExit(main())
"""
"""The program as it is, but for the root of what it feels, and for a governor that begins with less patience on the way up."""
COOL_C, HOT_C, BURNING_C = 50, 71, 86
SOFT_C, HARD_C = 75, 90
"""A kernel's passive trip point, pressed from 70 on, and its critical one, critical from 85 on."""
PROFILE = """
name = "plain"
match = { arch = ["none"] }
prefer = [{ accelerator = "cpu" }]
"""
WITHIN_S = 60.0 + CALM_S
"""Each on a busy machine; a second a step when it burns, and so many calm ones up."""


class Box:
    """The files that tell how warm it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._zone = root / "sys" / "class" / "thermal" / "thermal_zone0"
        self._zone.mkdir(parents=True)
        (self._zone / "type").write_text("cpu-thermal\n")
        (self._zone / "trip_point_0_type").write_text("passive\n")
        (self._zone / "trip_point_0_temp").write_text(f"{SOFT_C * 1000}\n")
        (self._zone / "trip_point_1_type").write_text("critical\n")
        (self._zone / "trip_point_1_temp").write_text(f"{HARD_C * 1000}\n")
        self.is_at(COOL_C)

    def is_at(self, temperature_c: float) -> None:
        beside = self._zone / "next"
        beside.write_text(f"{int(temperature_c * 1000)}\n")
        beside.replace(self._zone / "temp")


def write(folder: Path, port: int) -> Path:
    (folder / "profiles").mkdir()
    (folder / "profiles" / "plain.toml").write_text(PROFILE, "utf-8")
    still_bundle(folder / "models" / "still", folder / "state", "plain", [folder / "profiles"])
    body = still_source(folder / "pictures", fps=20)
    body += pipeline("a", source="dock", model="still", more="priority = 5\nmin_fps = 15")
    file = write_config(folder, port, body, more=f'[profiles]\ndirectories = ["{folder / "profiles"}"]')
    text = file.read_text("utf-8").replace("[models]\n", '[models]\nmeasure = "off"\n')
    file.write_text(text.replace('id = "press-07"', 'id = "press-07"\nprofile = "plain"'), "utf-8")
    return file


def steps(fleet: Subscriber) -> list[dict[str, Any]]:
    return [alert for alert in fleet.of("alert") if alert["code"].startswith("governor")]


def kinds(told: list[dict[str, Any]], *, down: bool) -> list[str]:
    return [alert["step"]["kind"] for alert in told if alert["step"]["is_down"] is down]


def governed(fleet: Subscriber) -> dict[str, Any] | None:
    (told,) = fleet.last("inventory")["pipelines"]
    found: dict[str, Any] | None = told["governor"]
    return found


def test_heat_takes_steps_that_are_told_and_coolness_gives_them_back_without_a_lost_frame(
    fleet: Subscriber, run: Run, broker: BrokerProcess, tmp_path: Path
) -> None:
    box = Box(tmp_path / "root")
    program = (sys.executable, "-c", WITH_SYSROOT.format(root=str(box.root), calm_s=CALM_S))
    daemon = run(write(tmp_path, broker.port), program=program)
    until(lambda: len(fleet.of("result/a")) > 100, "results", 60.0)
    assert fleet.last("result/a")["model"]["variant"] == HEAVY
    assert fleet.last("telemetry")["governor"]["level"] == "calm"

    box.is_at(HOT_C)
    until(lambda: steps(fleet), "the first step", WITHIN_S)
    assert steps(fleet)[0]["level"] == "pressed"
    box.is_at(BURNING_C)
    until(lambda: "variant" in kinds(steps(fleet), down=True), "the way down", WITHIN_S)

    down = steps(fleet)
    assert kinds(down, down=True) == ["gate", "gate", "gate", "rate", "variant"]
    assert [alert["cause"] for alert in down] == ["temperature", *["temperature-hard"] * 4]
    assert down[0]["figures"]["headroom_c"] == pytest.approx(SOFT_C - HOT_C)
    assert down[-1]["step"]["before"].startswith(HEAVY)
    assert down[-1]["step"]["after"].startswith(LIGHT)
    until(lambda: fleet.last("result/a")["model"]["variant"] == LIGHT, "the lighter variant", WITHIN_S)
    until(lambda: "governed" in fleet.codes(), "health says so")
    until(lambda: (governed(fleet) or {}).get("steps") == {"gate": 3, "rate": 1, "variant": 1}, "the inventory says so")
    assert (governed(fleet) or {})["level"] == "critical"
    until(lambda: {"still", "slowed"} <= fleet.last("telemetry")["pipelines"]["a"]["drops"].keys(), "what was left out")

    box.is_at(COOL_C)
    for _ in down:
        count = len(steps(fleet))
        until(lambda count=count: len(steps(fleet)) > count, "a step back", WITHIN_S)  # type: ignore[misc] # bound at once
    assert kinds(steps(fleet), down=False) == ["variant", "rate", "gate", "gate", "gate"]
    up = [alert["mono_ms"] / 1000 for alert in steps(fleet)[len(down) :]]
    # The first of them is told when its variant has been opened.
    assert min(later - sooner for sooner, later in pairwise(up[1:])) >= CALM_S - 0.1
    until(lambda: "governed" not in fleet.codes(), "health is well again")
    until(lambda: governed(fleet) is None, "the inventory, too")
    until(lambda: fleet.last("result/a")["model"]["variant"] == HEAVY, "the chosen variant")

    assert daemon.stop()[0] == 0
    results = fleet.of("result/a")
    assert numbers(results) == list(range(1, len(results) + 1))
    assert {result["status"] for result in results} == {"ok"}
    assert fleet.last("telemetry")["pipelines"]["a"]["restarts"] == 0
    for alert in steps(fleet):
        AlertDocument.model_validate(alert)
    HealthDocument.model_validate(fleet.last("health"))
    InventoryDocument.model_validate(fleet.last("inventory"))


def test_a_pipeline_that_the_memory_has_no_room_for_is_refused_alone_with_the_sum(
    fleet: Subscriber, run: Run, broker: BrokerProcess, tmp_path: Path
) -> None:
    file = write(tmp_path, broker.port)
    figures = tmp_path / "state" / "benchmarks.json"
    document = json.loads(figures.read_bytes())
    for one in document["measured"]:
        for row in one["figures"]:
            row["peak_memory_mb"] = 10_000_000.0
    figures.write_text(json.dumps(document), "utf-8")
    text = file.read_text("utf-8") + pipeline("b", source="dock", model="parts")
    file.write_text(text, "utf-8")

    daemon = run(file)

    until(lambda: "memory-budget" in fleet.codes(), "it says so")
    assert "10000000 MiB (measured)" in fleet.reason("a")
    until(lambda: fleet.of("result/b"), "the other one runs", 60.0)
    assert fleet.of("result/a") == []
    assert daemon.stop()[0] == 0
