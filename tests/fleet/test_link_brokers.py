"""The link on real brokers: mosquitto with MQTT 5, amqtt with 3.1.1, kills, passwords, full and read-only disks."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.smalldisk import remount, small_disk
from fakes.station import MakeStation, Station
from fakes.waiting import until

pytestmark = pytest.mark.slow


class Subscriber:
    """A separate client that keeps what it hears."""

    def __init__(self, port: int, topic: str = "edged/#") -> None:
        self.heard: list[tuple[str, dict[str, object]]] = []
        self._ready = False
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.on_message = lambda _c, _u, message: self.heard.append((message.topic, json.loads(message.payload)))
        self.client.on_subscribe = lambda *_: setattr(self, "_ready", True)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(topic, 1)
        until(lambda: self._ready, "subscribed")

    def of(self, stream: str) -> list[dict[str, object]]:
        return [body for topic, body in list(self.heard) if topic.endswith("/out/" + stream)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerProcess]:
    made = getattr(brokers, request.param)(tmp_path)
    yield made
    made.close()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[BrokerProcess]:
    made = brokers.mosquitto(tmp_path)
    yield made
    made.close()


def test_a_subscriber_hears_every_document_once_in_order(
    broker: BrokerProcess, station: MakeStation, request: pytest.FixtureRequest
) -> None:
    subscriber = Subscriber(broker.port)
    one = station(broker.port).online()
    one.put(300)
    one.link.stop(60)

    until(lambda: len(subscriber.of("status")) == 2, "offline")
    subscriber.close()

    assert [body["seq"] for body in subscriber.of("result/a")] == list(range(1, 301))
    assert [body["state"] for body in subscriber.of("status")] == ["online", "offline"]
    assert one.link.state.protocol == (5 if "mosquitto" in request.node.name else 4)


def test_a_broker_that_is_killed_and_comes_back_gets_the_rest(broker: BrokerProcess, station: MakeStation) -> None:
    one = station(broker.port).online()
    one.put(100)
    broker.kill()
    one.put(100)
    until(lambda: one.link.state.phase == "waiting", "lost")
    broker.start()

    assert one.outbox.drain(60)
    assert one.link.connections >= 2


def test_a_device_that_vanishes_is_offline_by_its_will(mosquitto: BrokerProcess, station: MakeStation) -> None:
    subscriber = Subscriber(mosquitto.port)
    one = station(mosquitto.port, will_delay_s=0).online()
    assert one.outbox.drain(30)

    # Nobody listens any more: the farewell stays open.
    one.outbox.ack = lambda _keys: None  # type: ignore[method-assign]
    one.link.stop(0.3)

    until(lambda: [body["state"] for body in subscriber.of("status")][-1:] == ["offline"], "the will")
    subscriber.close()


def test_a_command_with_a_response_topic_arrives_with_the_stream(
    mosquitto: BrokerProcess, station: MakeStation
) -> None:
    one = station(mosquitto.port).online()
    sender = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    sender.connect("127.0.0.1", mosquitto.port)
    sender.loop_start()
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic, properties.CorrelationData = "edged/v1/d/press-07/out/reply", b"42"

    sender.publish("edged/v1/d/press-07/in/command", b"{}", 1, properties=properties)

    until(lambda: one.inbound, "the command")
    sender.disconnect()
    sender.loop_stop()
    (message,) = one.inbound
    assert (message.response_stream, message.correlation, message.retained) == ("reply", b"42", False)


def test_what_is_larger_than_we_bear_is_withheld_by_the_broker(mosquitto: BrokerProcess, station: MakeStation) -> None:
    one = station(mosquitto.port).online()
    sender = mqtt.Client(CallbackAPIVersion.VERSION2)
    sender.connect("127.0.0.1", mosquitto.port)
    sender.loop_start()

    sender.publish("edged/v1/d/press-07/in/command", b"x" * (1 << 20), 1).wait_for_publish(30)
    sender.publish("edged/v1/d/press-07/in/command", b"ok", 1).wait_for_publish(30)

    until(lambda: one.inbound, "the small one")
    sender.disconnect()
    sender.loop_stop()
    assert [message.payload for message in one.inbound] == [b"ok"]


def test_a_wrong_password_is_said_plainly_and_tried_slowly(tmp_path: Path, station: MakeStation) -> None:
    broker = brokers.mosquitto(tmp_path, *brokers.knowing(tmp_path, {"press-07": "right"}))

    one = station(broker.port, username="press-07", password="wrong").start()  # noqa: S106  (it is wrong)
    until(lambda: one.link.state.phase == "waiting", "refused")
    broker.close()

    assert one.link.state.trouble.code == "broker-auth"
    assert "mqtt.password_file" in one.link.state.trouble.remedy
    assert one.link.state.retry_s >= 15


def test_a_topic_that_mosquitto_forbids_costs_its_own_stream_alone(
    tmp_path: Path, station: MakeStation, request: pytest.FixtureRequest
) -> None:
    access = tmp_path / "access"
    out = "edged/v1/d/press-07/out"
    allowed = ("status", "result/b", "alert")
    rules = [f"topic write {out}/{stream}" for stream in allowed]
    access.write_text("\n".join([*rules, "topic read edged/#", ""]))
    access.chmod(0o644)
    broker = brokers.mosquitto(tmp_path, f"acl_file {access}")
    request.addfinalizer(broker.close)
    subscriber = Subscriber(broker.port)
    one = station(broker.port).online()
    for _ in range(20):
        one.put(10, "result/a")
        one.put(10, "result/b")

    until(lambda: len(subscriber.of("result/b")) == 200, "the stream that is allowed")
    until(lambda: one.outbox.pending() == 200, "the one that is not is kept")
    (trouble,) = one.link.troubles()
    assert (trouble.code, one.link.state.phase, one.link.connections) == ("broker-topic-denied", "online", 1)
    assert "result/a" in trouble.message

    access.write_text("\n".join([*rules, f"topic write {out}/result/a", "topic read edged/#", ""]))
    broker._process.send_signal(signal.SIGHUP)
    until(lambda: _tried_again(one) and one.outbox.pending() == 0, "sent when the rules are mended")
    until(lambda: len(subscriber.of("result/a")) == 200, "heard")
    assert one.link.troubles() == ()
    subscriber.close()
    assert [body["seq"] for body in subscriber.of("result/a")] == list(range(1, 201))


def _tried_again(one: Station) -> bool:
    """Do not wait for minutes; always true. Not while a try is under way."""
    if one.link._denied_until_s is not None:
        one.link._denied_until_s = 0.0
    return True


def test_a_full_disk_is_survived_and_mended(mosquitto: BrokerProcess, tmp_path: Path, station: MakeStation) -> None:
    with small_disk(tmp_path, 6) as disk:
        subscriber = Subscriber(mosquitto.port)
        one = station(mosquitto.port, folder=disk).online()
        one.put(50)
        assert one.outbox.drain(60)
        filler = disk / "filler"
        _fill(filler)
        one.put(200, size=4000)
        assert one.outbox.drain(60)
        until(lambda: len(subscriber.of("result/a")) == 250, "all, though the disk is full")

        filler.unlink()
        until(lambda: not one.outbox.health(), "mended")
        one.put(10)
        assert one.outbox.drain(60)
        until(lambda: len(subscriber.of("result/a")) >= 260, "the rest")
        subscriber.close()
        assert [body["seq"] for body in subscriber.of("result/a")] == list(range(1, 261))
        one.close()


def test_a_small_disk_is_never_filled(mosquitto: BrokerProcess, tmp_path: Path, station: MakeStation) -> None:
    with small_disk(tmp_path, 6) as disk:
        one = station(mosquitto.port, folder=disk)
        for _ in range(10):
            one.put(200, size=4000)
        assert one.outbox.flush(60)
        assert one.outbox.health() == ()
        assert one.outbox.stats().evicted > 500
        one.close()


def test_a_disk_that_turns_read_only_is_survived_and_mended(
    mosquitto: BrokerProcess, tmp_path: Path, station: MakeStation
) -> None:
    with small_disk(tmp_path, 16) as disk:
        one = station(mosquitto.port, folder=disk)
        one.put(20)
        assert one.outbox.flush(60)
        remount(disk, "ro", check=False)
        if not os.statvfs(disk).f_flag & os.ST_RDONLY:
            # The kernel refuses while a file is open for writing; a disk with errors goes read-only below open files.
            one.close()
            remount(disk, "ro")
            one = station(mosquitto.port, folder=disk)
        subscriber = Subscriber(mosquitto.port)
        one.put(30)
        one.online()
        assert one.outbox.drain(60)
        until(lambda: len(subscriber.of("result/a")) >= 50, "all, though nothing can be written")
        told = sorted(int(str(body["seq"])) for body in subscriber.of("result/a"))
        assert told[:20] == list(range(1, 21))
        # A start on a disk that takes nothing numbers far above, so that no number is ever given twice.
        assert [seq - told[20] for seq in told[20:]] == list(range(30))
        assert [found.code for found in one.outbox.health()] == ["outbox-read-only"]

        remount(disk, "rw")
        until(lambda: not one.outbox.health(), "mended")
        one.put(1)
        until(lambda: one.outbox.committed("result/a") == told[-1] + 1, "on the disk again, with the next number")
        subscriber.close()
        one.close()


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        deadline = time.monotonic() + 5
        size = 1 << 20
        while time.monotonic() < deadline and size >= 512:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
