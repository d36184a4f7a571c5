"""Safe mode without a service manager: the box is in reach, runs nothing, and says by its exit status when it wants to be whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edged.cli import AGAIN
from fakes.brokers import BrokerProcess
from fakes.daemon import DEVICE, DaemonProcess, Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

SAFE = (
    sys.executable,
    "-c",
    "import sys; from edged.cli import main; raise SystemExit(main([*sys.argv[1:], '--safe']))",
)


@pytest.fixture
def daemon(broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path) -> DaemonProcess:
    """Give a daemon in safe mode, although its configuration and its model are sound."""
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(100))
    made = run(write_config(tmp_path, broker.port, csv_source(recording) + pipeline("a")), program=SAFE)
    until(lambda: fleet.codes() == {"safe-mode"}, "it says so")
    return made


def test_it_runs_no_pipeline_tells_what_it_is_and_stops_as_usual(daemon: DaemonProcess, fleet: Subscriber) -> None:
    until(lambda: fleet.last("telemetry"), "telemetry")
    assert fleet.last("health")["state"] == "failed"
    assert fleet.last("telemetry")["pipelines"] == {}
    assert [one["name"] for one in fleet.last("inventory")["pipelines"]] == ["a"]
    assert fleet.of("result/a") == []

    assert daemon.stop()[0] == 0


def test_the_command_restart_ends_it_with_the_status_that_asks_for_the_whole_daemon(
    daemon: DaemonProcess, fleet: Subscriber
) -> None:
    order = {"id": "1", "verb": "restart", "args": {}, "expires_at": "2100-01-01T00:00:00Z"}
    fleet.client.publish(f"edged/v1/d/{DEVICE}/in/command", json.dumps(order), 1)

    assert daemon.wait() == AGAIN
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
