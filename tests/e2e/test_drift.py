"""A camera whose pictures become dark: the box says so, with what it rests on, and goes on saying so after a restart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, write_config
from fakes.sensor import picture_bundle
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

SOURCE = '[[source]]\nname = "folder"\nkind = "images"\npath = "{path}"\nloop = true\nfps = 60\n'
PIPELINE = '[[pipeline]]\nname = "gate"\nsource = "folder"\nmodel = "still"\n[pipeline.drift]\nevery_s = 0.0166\n'
EDGECTL = (sys.executable, "-c", "from edgectl.cli import main; raise SystemExit(main())")


def _pictures(folder: Path, level: float) -> Path:
    folder.mkdir()
    made = np.random.default_rng(3)
    for number in range(40):
        picture = made.normal(level + 8 * made.normal(), 20, (96, 128, 3))
        assert cv2.imwrite(str(folder / f"{number:02d}.png"), np.clip(picture, 0, 255).astype(np.uint8))
    return folder


def _learned(config: Path) -> str:
    verb = ("drift", "learn", "gate", "--minutes", "5", "--config", str(config))
    done = subprocess.run([*EDGECTL, *verb], capture_output=True, text=True, timeout=180, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_camera_that_becomes_dark_is_told_with_evidence_and_after_a_restart_still(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    picture_bundle(tmp_path / "models" / "still")
    day, night = _pictures(tmp_path / "day", 130), _pictures(tmp_path / "night", 45)
    history = tmp_path / "state" / "drift" / "gate.ndjson"

    config = write_config(tmp_path, broker.port, SOURCE.format(path=day) + PIPELINE)
    daemon = run(config)
    until(lambda: history.exists() and history.read_bytes().count(b"\n") >= 400, "enough figures to learn from")
    assert "features, learned from" in _learned(config)
    daemon.stop()
    assert not [alert for alert in fleet.of("alert") if alert["code"] == "drift"]

    config = write_config(tmp_path, broker.port, SOURCE.format(path=night) + PIPELINE)
    daemon = run(config)
    until(lambda: "input.luma" in _drifting(fleet), "the alarm", 120)
    alert = next(one for one in fleet.of("alert") if (one.get("evidence") or {}).get("feature") == "input.luma")
    until(lambda: _unwell(fleet), "the health reason")
    daemon.stop()

    assert alert["component"] == "gate"
    told = alert["evidence"]
    assert told["stability"] > told["stability_limit"]
    assert told["present"]["q95"] < told["reference"]["q05"]
    assert [window["votes"] for window in told["windows"]][-2:] == [True, True]
    before = len(fleet.of("health"))
    daemon = run(config)
    until(lambda: any(_names_drift(health) for health in fleet.of("health")[before:]), "it knows after a restart")
    daemon.stop()


def _drifting(fleet: Subscriber) -> set[str]:
    return {alert["evidence"]["feature"] for alert in fleet.of("alert") if alert["code"] == "drift"}


def _unwell(fleet: Subscriber) -> bool:
    return _names_drift(fleet.last("health"))


def _names_drift(health: dict[str, object]) -> bool:
    reasons = health.get("reasons")
    return isinstance(reasons, list) and any(one["code"] == "drift" and one["component"] == "gate" for one in reasons)
