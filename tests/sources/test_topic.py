"""A topic at real brokers, and at one that refuses."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Samples
from edged.fleet.settings import LinkSettings, TlsFiles
from edged.sources.layout import Column, Wanted, in_order
from edged.sources.topic import MAX_PAYLOAD_BYTES, Subscription, TopicSource, open_source
from fakes import brokers
from fakes.broker import FakeBroker
from fakes.brokers import BrokerProcess
from fakes.certificates import Authority
from fakes.realclock import RealClock

TOPIC = "plant/oven/state"


class Publisher:
    def __init__(self, port: int) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "publisher")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, *payloads: Any, topic: str = TOPIC, retain: bool = False) -> None:
        for payload in payloads:
            text = payload if isinstance(payload, bytes) else json.dumps(payload)
            self._client.publish(topic, text, 1, retain).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    made = brokers.mosquitto(tmp_path_factory.mktemp("broker"))
    yield made
    made.close()


@pytest.fixture
def publisher(broker: BrokerProcess) -> Iterator[Publisher]:
    made = Publisher(broker.port)
    yield made
    made.say(b"", retain=True)  # nothing stays behind for the next test
    made.close()


def opened(
    port: int, *columns: str, time: str | None = None, fields: tuple[Column, ...] = (), **settings: Any
) -> TopicSource:
    wanted = Wanted(columns or ("t",), time)
    own = ("protocol", "connect_timeout_s", "tls", "username", "password")
    broker = {key: settings.pop(key) for key in own if key in settings}
    return open_source(
        broker=LinkSettings("127.0.0.1", port, "press-07", **broker),
        subscription=Subscription(settings.pop("topic", TOPIC), **settings),
        clock=RealClock(),
        fields=fields or in_order(wanted),
        wanted=wanted,
        client_id="press-07.oven",
    )


def rows(source: TopicSource, count: int) -> list[list[float]]:
    got: list[list[float]] = []
    while len(got) < count:
        samples = source.read()
        assert isinstance(samples, Samples)
        got += samples.values.tolist()
    return got


@pytest.mark.parametrize("protocol", [5, 4])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_documents_become_samples(broker: BrokerProcess, publisher: Publisher, protocol: int, qos: int) -> None:
    with closing(opened(broker.port, "oven.t[0]", "h", protocol=protocol, qos=qos)) as source:
        publisher.say({"oven": {"t": [1.5]}, "h": 40}, {"oven": {"t": [2.5]}, "h": 41})

        assert rows(source, 2) == [[1.5, 40], [2.5, 41]]


def test_a_bare_number_is_a_document(broker: BrokerProcess, publisher: Publisher) -> None:
    with closing(opened(broker.port, "$")) as source:
        publisher.say(b"21.5")

        assert rows(source, 1) == [[21.5]]


def test_a_filter_takes_several_topics(broker: BrokerProcess, publisher: Publisher) -> None:
    with closing(opened(broker.port, topic="plant/+/state")) as source:
        publisher.say({"t": 1}, topic="plant/a/state")
        publisher.say({"t": 2}, topic="plant/b/state")

        assert rows(source, 2) == [[1], [2]]


def test_documents_carry_their_own_time(broker: BrokerProcess, publisher: Publisher) -> None:
    fields = (Column("t"), Column("ms", scale=1e-3))
    with closing(opened(broker.port, "t", time="ms", fields=fields)) as source:
        publisher.say({"t": 1, "ms": 5000}, {"t": 2, "ms": 5250}, {"t": 3, "ms": 5250}, {"t": 4, "ms": 5500})
        times: list[float] = []
        while len(times) < 3:
            samples = source.read()
            assert samples is not None
            times += samples.times_s.tolist()

    assert times[2] - times[0] == pytest.approx(0.5, abs=0.01)
    assert source.drops == {"unordered": 1}


@pytest.mark.parametrize("protocol", [5, 4])
def test_what_is_no_sample_is_counted(broker: BrokerProcess, publisher: Publisher, protocol: int) -> None:
    with closing(opened(broker.port, protocol=protocol)) as source:
        publisher.say(b"{", {"other": 1}, b"[" * 9000, {"t": "x"}, b"\xff", {"t": 1})

        assert rows(source, 1) == [[1]]
        assert source.drops == {"malformed": 5}


def test_a_document_that_is_too_large_is_left_out(broker: BrokerProcess, publisher: Publisher) -> None:
    with closing(opened(broker.port)) as source:
        publisher.say(
            {"t": 1, "pad": "x" * MAX_PAYLOAD_BYTES}, {"t": 1, "pad": "x" * (MAX_PAYLOAD_BYTES * 2)}, {"t": 2}
        )

        assert rows(source, 1) == [[2]]
        assert source.drops == {"too-large": 1}  # the other one the broker kept back


@pytest.mark.parametrize("protocol", [5, 4])
def test_what_the_broker_kept_from_earlier_is_no_sample_unless_it_is_asked_for(
    broker: BrokerProcess, publisher: Publisher, protocol: int
) -> None:
    publisher.say({"t": 1}, retain=True)
    with closing(opened(broker.port, protocol=protocol)) as source:
        publisher.say({"t": 2})
        assert rows(source, 1) == [[2]]
    with closing(opened(broker.port, protocol=protocol, retained=True)) as source:
        assert rows(source, 1) == [[1]]


def test_a_burst_beyond_what_is_held_loses_its_oldest() -> None:
    broker = FakeBroker()
    with closing(opened(broker.port)) as source:
        connection = source._connection
        for i in range(1030):
            connection._on_message(None, None, _message(b'{"t": %d}' % i))
        broker.send(TOPIC, b'{"t": 5000}')

        assert rows(source, 1)[0] == [7.0]
        assert source.drops == {"overrun": 7}
    broker.close()


def _message(payload: bytes) -> mqtt.MQTTMessage:
    message = mqtt.MQTTMessage(topic=TOPIC.encode())
    message.payload = payload
    return message


def test_a_broker_that_goes_away_is_a_lost_source() -> None:
    broker = FakeBroker()
    with closing(opened(broker.port)) as source:
        broker.drop()

        with pytest.raises(SourceLostError, match="cannot keep the connection") as caught:
            source.read()
    broker.close()

    assert caught.value.code == "broker-lost"


def test_a_broker_that_knows_only_the_older_protocol_is_spoken_to_in_it() -> None:
    broker = FakeBroker(speaks=(4,))
    with closing(opened(broker.port)) as source:
        broker.send(TOPIC, b'{"t": 7}')

        assert rows(source, 1) == [[7]]
    broker.close()

    assert broker.connects == [5, 4]


@pytest.mark.parametrize(("settings", "code"), [({"connack": 0x87}, "broker-auth"), ({"suback": 0x87}, "broker-auth")])
def test_a_broker_that_refuses_says_why(settings: dict[str, int], code: str) -> None:
    broker = FakeBroker(**settings)  # type: ignore[arg-type] # numbers all of them

    with pytest.raises(DeviceError) as caught:
        opened(broker.port)
    broker.close()

    assert caught.value.code == code


def test_a_broker_that_says_nothing_is_given_up() -> None:
    broker = FakeBroker(mute=True)

    with pytest.raises(DeviceError, match="cannot"):
        opened(broker.port, connect_timeout_s=0.05)
    broker.close()


def test_it_says_who_it_is_as_edged_does() -> None:
    broker = FakeBroker()

    opened(broker.port, username="press-07", password="secret").close()  # noqa: S106 - of a test's own broker
    broker.close()

    assert broker.wills[0].endswith(b"\0\x08press-07\0\x06secret")


def test_no_broker_is_a_device_error() -> None:
    with pytest.raises(DeviceError) as caught:
        opened(brokers.free_port())

    assert caught.value.code == "broker-down"


def test_certificates_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        opened(brokers.free_port(), tls=TlsFiles(ca=tmp_path / "absent.pem"))

    assert caught.value.code == "broker-tls-file"


def test_a_key_behind_a_passphrase_is_a_fault_and_asks_nobody(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("press-07")
    words = ["openssl", "ec", "-aes256", "-passout", "pass:secret", "-in", pair.key, "-out", tmp_path / "locked"]
    subprocess.run(words, check=True, capture_output=True)

    with pytest.raises(DeviceError, match="cannot"):
        opened(brokers.free_port(), tls=TlsFiles(pair.cert, pair.cert, tmp_path / "locked"), protocol=4)


@pytest.mark.parametrize("topic", ["a/#/b", "a+", "a\0", "#a"])
def test_what_is_no_topic_is_refused(topic: str) -> None:
    with pytest.raises(ConfigError, match="cannot subscribe"):
        opened(1, topic=topic)


def test_closing_ends_a_read_that_waits(broker: BrokerProcess) -> None:
    source = opened(broker.port)
    got: list[Samples | None] = []
    reader = threading.Thread(target=lambda: got.append(source.read()))
    reader.start()

    source.close()
    reader.join(30)
    source.close()

    assert got == [None]
    assert repr(source) == f"<TopicSource {TOPIC} at 127.0.0.1:{broker.port}: closed, 0 samples, drops {{}}>"
