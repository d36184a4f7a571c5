"""How the box is, told everywhere alike: over HTTP, over MQTT, and to the service manager."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

ABSENT = """
[[source]]
name = "gone"
kind = "serial"
port = "/dev/absent"
baud = 9600
format = "csv"
columns = ["x"]
"""
TOLD = ("schema", "state", "reasons"), ("code", "component", "message", "remedy")


def asked(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()
    except URLError:
        return 0, b""  # it does not listen yet


def test_the_same_object_is_told_over_http_mqtt_and_in_the_services_status(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(5))
    body = csv_source(recording, more='pace = "recorded"\nloop = true') + pipeline("a") + ABSENT
    port = free_port()
    more = f'[http]\nlisten = "127.0.0.1:{port}"\n'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        config = write_config(tmp_path, broker.port, body + pipeline("b", source="gone"), more=more)
        run(config, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        until(lambda: "gone" in {one["component"] for one in reasons(fleet.last("health"))}, "MQTT tells of it")
        status = ""
        while not status.startswith("STATUS=degraded"):
            lines = manager.recv(4096).decode().splitlines()
            status = next((line for line in lines if line.startswith("STATUS=")), status)
        until(lambda: asked(port, "/healthz")[0] == 200, "it answers")
        until(lambda: same(port) == alike(fleet.last("health")), "both tell the same")
        health = same(port)
        ready = asked(port, "/readyz")[0], json.loads(asked(port, "/api/ready")[1])
        live = asked(port, "/healthz")[0]

    (lost,) = [one for one in reasons(health) if one["component"] == "gone"]
    assert (health["schema"], health["state"]) == ("edged.health/1", "degraded")
    assert lost["remedy"]
    assert lost["message"][:60] in status
    assert live == 200
    assert (ready[0], ready[1]["ready"]) == (503, False)
    assert "gone" in {one["component"] for one in ready[1]["reasons"]}


def reasons(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document.get("reasons", [])
    return found


def same(port: int) -> dict[str, Any]:
    return alike(json.loads(asked(port, "/api/health")[1]))


def alike(document: dict[str, Any]) -> dict[str, Any]:
    """Give what both tell: not the stream's number, nor since when, which each counts back from its own now."""
    whole, each = TOLD
    told = {key: document[key] for key in whole}
    return told | {"reasons": [{key: one[key] for key in each} for one in told["reasons"]]}
