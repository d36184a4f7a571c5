"""A sensor on a serial line: measured, unplugged, plugged in again elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, write_config
from fakes.sensor import pipeline, sensor_bundle
from fakes.serialline import Sensor
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

RATE_HZ = 500

SPINDLE = """
[[source]]
name = "spindle"
kind = "serial"
port = "{port}"
columns = ["x"]
rate_hz = {rate}
"""


def reasons(fleet: Subscriber) -> set[str]:
    return {reason["code"] for reason in fleet.last("health").get("reasons", ())}


def test_a_sensor_is_measured_missed_and_measured_again(
    sensor: Sensor, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    body = SPINDLE.format(port=sensor.port, rate=float(RATE_HZ)) + pipeline("a")
    daemon = run(write_config(tmp_path, broker.port, body))
    until(lambda: len(fleet.of("result/a")) > 3, "results came")
    assert fleet.of("result/a")[-1]["anomaly"]["score"] == pytest.approx(4.0, abs=0.01)

    with sensor.lock:
        sensor.unplug()
    until(lambda: reasons(fleet) & {"serial-lost", "serial-missing"}, "the loss is told")
    with sensor.lock:
        sensor.plug()
    before = len(fleet.of("result/a"))

    until(lambda: len(fleet.of("result/a")) > before + 3, "results came again")
    until(lambda: not reasons(fleet), "all is well")
    assert daemon.stop()[0] == 0
