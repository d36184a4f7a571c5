"""Two pipelines on a box whose processors are taken by other work: what was promised holds, more slowly."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.brokers import BrokerProcess
from fakes.busy import busy
from fakes.daemon import DaemonProcess, Run, write_config
from fakes.sensor import picture_bundle, pipeline
from fakes.still import still_source
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow

PER_PROCESSOR = 4
"""Other processes that want each: a fifth is left for edged."""
LOOK_S = 4.0
FPS = 10
KEPT = 0.5
"""Of the rate before: with a fifth of the processors for what needs a twentieth of one, nothing but waiting for turns is lost. The test
machine may have others at work that take half of what is left."""
CRASH_S, BUSY = 1.0, 3.0
FRESH_MS = 1000.0
"""A result is of a picture from just now, however long the picture before it took: the newest wins."""
PROFILE = 'name = "in-children"\nprefer = [{ accelerator = "cpu", threads = 1 }]\nisolate = true\n'


@pytest.fixture
def daemon(broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path) -> DaemonProcess:
    """Give one with the pipelines ``gate`` and ``yard``, each of which has its engine in a child."""
    picture_bundle(tmp_path / "models" / "still")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "in-children.toml").write_text(PROFILE, "utf-8")
    body = "".join(
        still_source(tmp_path / "pictures", fps=FPS, name=f"camera-{name}")
        + pipeline(name, source=f"camera-{name}", model="still")
        for name in ("gate", "yard")
    )
    more = f'[profiles]\ndirectories = ["{tmp_path / "profiles"}"]\n[governor]\nenabled = false\n'
    file = write_config(tmp_path, broker.port, body, more=more)
    text = file.read_text("utf-8").replace("[models]\n", '[models]\nmeasure = "off"\n')
    file.write_text(text.replace('id = "press-07"', 'id = "press-07"\nprofile = "in-children"'), "utf-8")
    made = run(file)
    until(lambda: all(len(fleet.of(f"result/{name}")) > FPS for name in ("gate", "yard")), "both pipelines")
    return made


def _rate_hz(fleet: Subscriber, name: str) -> float:
    before = len(fleet.of(f"result/{name}"))
    time.sleep(LOOK_S)
    return (len(fleet.of(f"result/{name}")) - before) / LOOK_S


def _status(fleet: Subscriber, name: str) -> set[str]:
    return {one["status"] for one in fleet.of(f"result/{name}")}


def test_waiting_for_a_processor_is_no_hang_and_results_stay_fresh(daemon: DaemonProcess, fleet: Subscriber) -> None:
    before_hz = _rate_hz(fleet, "gate")
    begins = len(fleet.of("result/gate"))
    with busy(PER_PROCESSOR * len(os.sched_getaffinity(0))):
        starved_hz = _rate_hz(fleet, "gate")
    assert starved_hz >= KEPT * before_hz
    ages_ms = sorted(one["latency_ms"]["age"] for one in fleet.of("result/gate")[begins:])
    assert ages_ms[len(ages_ms) // 2] <= FRESH_MS
    assert _status(fleet, "gate") == _status(fleet, "yard") == {"ok"}
    assert "engine.lost" not in daemon.said()
    assert daemon.stop()[0] == 0
    for name in ("gate", "yard"):
        results = fleet.of(f"result/{name}")
        assert numbers(results) == list(range(1, len(results) + 1))
    assert fleet.last("telemetry")["pipelines"]["gate"]["restarts"] == 0


def test_an_engine_that_crashes_meanwhile_is_back_in_time_and_the_other_pipeline_goes_on(
    daemon: DaemonProcess, fleet: Subscriber
) -> None:
    with busy(PER_PROCESSOR * len(os.sched_getaffinity(0))):
        os.kill(_child(daemon), signal.SIGSEGV)
        until(lambda: _hit(fleet), "a frame that is unknown")
        (name,) = _hit(fleet)
        lost = next(one for one in fleet.of(f"result/{name}") if one["status"] == "unknown")
        until(lambda: _after(fleet, name, lost), "a good result")
    took_ms = _after(fleet, name, lost)[0]["mono_ms"] - lost["mono_ms"]
    # A child's start takes half a second of a processor, of which a fifth is left.
    assert took_ms <= 1000 * CRASH_S * BUSY * 2
    assert _status(fleet, "yard" if name == "gate" else "gate") == {"ok"}


def _child(daemon: DaemonProcess) -> int:
    children = Path(f"/proc/{daemon.pid}/task").glob("*/children")
    found = [int(word) for file in children for word in file.read_text().split()]
    return next(pid for pid in found if b"sandbox_child" in Path(f"/proc/{pid}/cmdline").read_bytes())


def _hit(fleet: Subscriber) -> list[str]:
    return [name for name in ("gate", "yard") if "unknown" in _status(fleet, name)]


def _after(fleet: Subscriber, name: str, lost: dict[str, Any]) -> list[dict[str, Any]]:
    results = fleet.of(f"result/{name}")
    return [one for one in results if one["status"] == "ok" and one["mono_ms"] > lost["mono_ms"]]
