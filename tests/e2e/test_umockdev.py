"""A Coral stick that is plugged in and out while the daemon runs, as its own reading of /sys sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.faketpu import FakeTpus, birds, profile
from fakes.subscriber import Subscriber
from fakes.testbed import Testbed
from fakes.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.assets]

SOURCE = """
[[source]]
name = "camera"
kind = "images"
path = "{pictures}"
loop = true
fps = 5

[[pipeline]]
name = "gate"
source = "camera"
model = "birds"
"""


@pytest.fixture
def testbed() -> Iterator[Testbed]:
    made = Testbed()
    yield made
    made.close()


@pytest.fixture
def tpus(tmp_path: Path) -> FakeTpus:
    return FakeTpus(tmp_path / "tpus")


@pytest.fixture
def config(tmp_path: Path, tpus: FakeTpus, assets: Path) -> Path:
    birds(tmp_path / "models" / "birds", assets)
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), np.full((128, 128, 3), 90, np.uint8))
    more = profile(tmp_path / "profiles") + f'[engine.edgetpu]\nlibrary = "{tpus.library}"\n'
    file = write_config(tmp_path, 1, SOURCE.format(pictures=tmp_path / "pictures"), more=more)
    text = file.read_text("utf-8").replace("[models]\n", '[models]\nmeasure = "off"\n')
    file.write_text(text.replace('id = "press-07"', 'id = "press-07"\nprofile = "with-edge-tpu"'), "utf-8")
    return file


def _stick(testbed: Testbed, config: Path) -> Any:
    said = edged("hardware", "--config", config, "--json", env=testbed.env)
    (found,) = json.loads(said.out)["accelerators"] or [None]
    return found


def _tpu(testbed: Testbed, config: Path) -> tuple[str, str]:
    said = edged("explain", "birds", "--config", config, "--json", env=testbed.env)
    rung = next(one for one in json.loads(said.out)["variants"] if one["id"] == "tpu")
    return rung["verdict"], rung["reason"]


def test_hardware_and_explain_tell_it_plugged_and_unplugged(testbed: Testbed, config: Path) -> None:
    assert _stick(testbed, config) is None
    assert _tpu(testbed, config) == ("refused", "needs edgetpu: no edgetpu found")

    testbed.plug(firmware=False, speed=480)

    stick = _stick(testbed, config)
    assert (stick["state"], stick["usable"], stick["speed_mbps"]) == ("waiting-for-firmware", True, 480)
    assert "USB 3" in stick["reason"]
    assert {"path": "dev/bus/usb/002/007", "value": "present"} in stick["evidence"]
    assert _tpu(testbed, config)[0] == "chosen"

    testbed.unplug()

    assert _stick(testbed, config) is None
    assert _tpu(testbed, config)[0] == "refused"


def test_a_daemon_takes_a_stick_when_it_is_plugged_in_and_goes_on_without_it_when_it_is_pulled(
    testbed: Testbed, tpus: FakeTpus, config: Path, broker: BrokerProcess, fleet: Subscriber, run: Run
) -> None:
    config.write_text(config.read_text("utf-8").replace("port = 1\n", f"port = {broker.port}\n"), "utf-8")
    daemon = run(config, env={**tpus.env, **testbed.env})
    until(lambda: fleet.of("result/gate"), "a result")
    assert _variant(fleet) == "plain"
    until(lambda: fleet.last("inventory"), "the inventory")
    assert _seen(fleet) == []

    testbed.plug()

    until(lambda: _variant(fleet) == "tpu", "the stick runs")
    until(lambda: _seen(fleet) == [("edgetpu", "usb", "2-1", "ready")], "the inventory")
    until(lambda: _ladder(fleet)["tpu"][0] == "chosen", "the ladder")

    testbed.unplug()
    tpus.say("vanish")

    until(lambda: _variant(fleet) == "plain", "the processor")
    until(lambda: _seen(fleet) == [], "the inventory")
    until(lambda: _ladder(fleet)["tpu"] == ("refused", "needs edgetpu: no edgetpu found"), "the ladder")
    until(lambda: "variant-fallback" not in fleet.codes(), "health: a stick that is not there is no fault")
    assert [one["status"] for one in fleet.of("result/gate")].count("unknown") == 1

    testbed.plug(firmware=False)
    tpus.say("ok")

    until(lambda: _variant(fleet) == "tpu", "the stick runs again")
    assert daemon.stop()[0] == 0


def _variant(fleet: Subscriber) -> str:
    return str(fleet.last("result/gate").get("model", {}).get("variant", ""))


def _seen(fleet: Subscriber) -> list[tuple[str, str, str, str]]:
    found = fleet.last("inventory")["hardware"]["accelerators"]
    return [(one["kind"], one["bus"], one["address"], one["state"]) for one in found]


def _ladder(fleet: Subscriber) -> dict[str, tuple[str, str]]:
    (ladder,) = fleet.last("inventory")["models"]
    return {one["id"]: (one["verdict"], one["reason"]) for one in ladder["variants"]}


def test_whoever_walks_through_the_doctor_is_asked_to_unplug_it_and_plug_it_in(
    testbed: Testbed, tpus: FakeTpus, config: Path
) -> None:
    testbed.plug()
    command = [sys.executable, "-c", "from edgectl.cli import main; raise SystemExit(main())"]
    record = config.with_name("doctor.json")
    command += ["doctor", "--hardware", "--walk", "--config", str(config), "--record", str(record)]
    pipe, env = subprocess.PIPE, {**os.environ, **tpus.env, **testbed.env}
    doctor = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=env, cwd="/")
    assert doctor.stdin is not None
    assert doctor.stdout is not None
    answers = {"unplug the": testbed.unplug, "plug it in": testbed.plug}
    said = ""
    while character := doctor.stdout.read(1):
        said += character
        for question in [question for question in answers if f"? {question}" in said and said.endswith("(s skips): ")]:
            answers.pop(question)()
            doctor.stdin.write("\n")
            doctor.stdin.flush()
            said += "…"
    assert doctor.wait(30) == 0
    doctor.stdin.close()
    doctor.stdout.close()
    report = json.loads(record.read_text("utf-8"))
    told = {row["check"]: row for row in report["rows"] if row["subject"] == "edgetpu (usb 2-1)"}
    assert {name: row["status"] for name, row in told.items()} == dict.fromkeys(told, "ok")
    assert list(told) == ["found", "driver", "permissions", "link", "runtime", "canary", "hang", "replug"]
    assert told["permissions"]["evidence"] == "/dev/bus/usb/002/008"
