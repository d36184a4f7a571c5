"""A broker that lets only some in: the password comes from its file, and a refusal is said plainly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.daemon import DEVICE, Run, edged, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import LONGEST_S, until

pytestmark = pytest.mark.slow


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[BrokerProcess]:
    """Give a broker that knows the device and a reader."""
    made = brokers.mosquitto(tmp_path, *brokers.knowing(tmp_path, {DEVICE: "right", "reader": "reads"}))
    yield made
    made.close()


@pytest.fixture
def config(guarded: BrokerProcess, tmp_path: Path) -> Path:
    """Give a configuration with a password file that a test has yet to write."""
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(5))
    file = write_config(tmp_path, guarded.port, csv_source(recording) + pipeline("a"))
    text = file.read_text()
    file.write_text(text.replace("[mqtt]\n", f'[mqtt]\npassword_file = "{tmp_path / "secret"}"\n'))
    return file


def test_the_password_is_read_from_its_file_and_the_device_is_the_user(
    guarded: BrokerProcess, run: Run, config: Path, tmp_path: Path
) -> None:
    heard: list[str] = []
    subscribed = threading.Event()
    reader = mqtt.Client(CallbackAPIVersion.VERSION2)
    reader.username_pw_set("reader", "reads")
    reader.on_message = lambda _c, _u, message: heard.append(message.topic)
    reader.on_connect = lambda client, *_: client.subscribe("edged/#", 1)
    reader.on_subscribe = lambda *_: subscribed.set()
    reader.connect("127.0.0.1", guarded.port)
    reader.loop_start()
    assert subscribed.wait(LONGEST_S)
    (tmp_path / "secret").write_text("right\n")

    daemon = run(config)

    assert daemon.wait() == 0
    until(lambda: heard.count(f"edged/v1/d/{DEVICE}/out/result/a") == 5, "its results")
    reader.disconnect()
    reader.loop_stop()
    assert "right" not in daemon.said()


def test_a_refusal_is_told_in_the_log_with_what_to_do_and_the_box_works_on(
    run: Run, config: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("wrong\n")
    daemon = run(config)

    until(lambda: "mqtt.password_file" in daemon.said(), "it says what to mend")
    until(lambda: "source.ended" in daemon.said(), "it works on")

    assert daemon.stop()[0] == 0
    assert "wrong" not in daemon.said()


def test_a_password_file_that_comes_late_is_a_fault_of_the_box_and_waited_for(
    run: Run, config: Path, tmp_path: Path
) -> None:
    said = edged("check", "--config", config)
    assert (said.status, "mqtt.password_file: cannot read" in said.out) == (1, True)
    daemon = run(config)
    until(lambda: f"cannot read the secret in {tmp_path / 'secret'}" in daemon.said(), "it says what it lacks")
    until(lambda: "source.ended" in daemon.said(), "it works on")

    (tmp_path / "secret").write_text("right\n")

    assert daemon.wait() == 0  # all was delivered
