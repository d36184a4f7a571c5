"""Home Assistant's side of a real box on a real broker: what it would find there, and what it would show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edged.fleet.schemas import StatesDocument
from fakes.brokers import BrokerProcess
from fakes.daemon import DEVICE, Run, write_config
from fakes.guardedbroker import guarded, password
from fakes.hassdiscovery import accept, state_of
from fakes.sensor import csv_source, sensor_bundle, write_windows
from fakes.waiting import until

pytestmark = pytest.mark.slow

TOPIC = f"homeassistant/device/{DEVICE}/config"
ON = "[homeassistant]\nenabled = true"
PIPELINE = """
[[pipeline]]
name = "load"
source = "spindle"
model = "level"
"""
RULE = """
[[pipeline.rule]]
name = "worn"
when = { anomaly = true }
gap_s = 0.2
"""


class HomeAssistant:
    """Hears what it would subscribe to, and says that it came up."""

    def __init__(self, port: int, secret: str | None = None) -> None:
        self.documents: dict[str, Any] = {}
        self.announced: list[dict[str, Any] | None] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "homeassistant", protocol=mqtt.MQTTv5)
        if secret is not None:
            self.client.username_pw_set("homeassistant", secret)
        self.client.on_message = lambda _c, _u, message: self._hear(message.topic, bytes(message.payload))
        self.client.on_connect = lambda client, *_: client.subscribe(
            [("homeassistant/#", 1), ("edged/v1/d/+/out/#", 1)]
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def come_up(self) -> None:
        self.client.publish("homeassistant/status", b"online", 1).wait_for_publish(30)

    def states(self) -> dict[str, str]:
        """Give what each entity shows that has something to show."""
        components = (self.announced[-1] or {}).get("components", {}) if self.announced else {}
        known = {name: one for name, one in components.items() if one.get("state_topic") in self.documents}
        return {name: state_of(one, self.documents) for name, one in known.items()}

    def reasons(self) -> set[str]:
        """Give the codes of the box's health."""
        health = self.documents.get(f"edged/v1/d/{DEVICE}/out/health", {})
        return {reason["code"] for reason in health.get("reasons", ())}

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _hear(self, topic: str, payload: bytes) -> None:
        if topic == TOPIC:
            self.announced.append(json.loads(payload) if payload else None)
        elif topic.startswith("edged/"):
            self.documents[topic] = json.loads(payload) if payload else None


@pytest.fixture
def home(broker: BrokerProcess) -> Iterator[HomeAssistant]:
    made = HomeAssistant(broker.port)
    yield made
    made.close()


def configured(folder: Path, port: int, body: str = PIPELINE + RULE, more: str = ON) -> Path:
    """Write a box that sees an anomaly in every other second, for ever."""
    sensor_bundle(folder / "models" / "level", threshold=10.0)
    recording = write_windows(folder / "spindle.csv", [1.0] * 10 + [9.0] * 10)
    source = csv_source(recording, rate_hz=640, more='pace = "recorded"\nloop = true')
    return write_config(folder, port, source + body, more=more)


def test_a_box_is_found_and_shows_its_figures_rules_and_health(
    broker: BrokerProcess, home: HomeAssistant, run: Run, tmp_path: Path
) -> None:
    daemon = run(configured(tmp_path, broker.port))

    until(lambda: home.announced, "the announcement")
    accept(TOPIC, home.announced[-1] or {})
    until(lambda: home.states().get("load_rule_worn") == "ON", "the rule holds")
    until(lambda: home.states().get("load_rule_worn") == "OFF", "and holds no longer")
    until(lambda: float(home.states().get("load_rate") or 0) > 1, "its rate")
    until(lambda: home.states()["load_model"] == "level 1.0.0", "its version")
    StatesDocument.model_validate(home.documents[f"edged/v1/d/{DEVICE}/out/states"])
    shown = home.states()
    assert shown["load_rung"] == "fp32"
    assert shown["pressure"] in {"calm", "near", "pressed", "hard", "critical"}
    assert float(shown["memory"]) > 10
    until(lambda: home.states()["health"] == "ok", "its health")

    before = len(home.announced)
    home.come_up()
    until(lambda: len(home.announced) > before, "the answer to its coming up")

    assert daemon.stop()[0] == 0
    status = (home.announced[-1] or {})["availability_topic"]
    until(lambda: home.documents[status]["state"] == "offline", "the farewell")


def test_a_rule_that_is_gone_is_removed_and_all_of_it_when_switched_off(
    broker: BrokerProcess, home: HomeAssistant, run: Run, tmp_path: Path
) -> None:
    daemon = run(configured(tmp_path, broker.port))
    until(lambda: home.announced, "the announcement")

    configured(tmp_path, broker.port, PIPELINE)
    daemon.reload()
    until(lambda: len(home.announced) >= 3, "two more messages")
    removal, last = (message["components"] for message in home.announced[-2:] if message is not None)
    assert removal["load_rule_worn"] == {"platform": "binary_sensor"}
    assert "load_rule_worn" not in last

    daemon.stop()
    configured(tmp_path, broker.port, PIPELINE, more="")
    again = run(tmp_path / "edged.toml")
    until(lambda: home.announced[-1] is None, "that it is taken back")
    until(lambda: home.documents[f"edged/v1/d/{DEVICE}/out/states"] is None, "what stood, too")
    assert again.stop()[0] == 0


def test_without_its_lines_in_the_access_rules_the_box_works_on_and_says_so(run: Run, tmp_path: Path) -> None:
    with guarded(tmp_path / "broker", ("add", DEVICE), ("homeassistant",)) as port, reading(tmp_path, port) as home:
        daemon = run(guarded_config(tmp_path, port))
        until(lambda: home.reasons() == {"broker-auth"}, "the reason")
        assert home.announced == []
        assert daemon.stop()[0] == 0


def test_it_works_under_the_access_rules_that_edgectl_writes(run: Run, tmp_path: Path) -> None:
    verbs = ("add", DEVICE, "--homeassistant", "homeassistant"), ("homeassistant",)
    with guarded(tmp_path / "broker", *verbs) as port, reading(tmp_path, port) as home:
        daemon = run(guarded_config(tmp_path, port))
        until(lambda: home.announced, "the announcement")
        until(lambda: home.states().get("load_rate"), "its rate")
        until(lambda: home.states().get("health") == "ok", "that it may read Home Assistant's word, too")
        home.client.publish(f"edged/v1/d/{DEVICE}/in/command", b"{}", 1)
        assert daemon.stop()[0] == 0
        assert "command" not in daemon.said(), "Home Assistant commands nothing"


@contextmanager
def reading(folder: Path, port: int) -> Iterator[HomeAssistant]:
    """Give Home Assistant as the user that edgectl made for it."""
    home = HomeAssistant(port, password(folder / "broker", "homeassistant"))
    try:
        yield home
    finally:
        home.close()


def guarded_config(folder: Path, port: int) -> Path:
    """Write a box that logs in on such a broker."""
    file = configured(folder, port)
    secret = f'[mqtt]\npassword_file = "{folder / "broker" / "passwords" / DEVICE}"\n'
    file.write_text(file.read_text().replace("[mqtt]\n", secret))
    return file
