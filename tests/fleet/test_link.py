"""The link against a small broker that can be told to misbehave."""

from __future__ import annotations

import gc
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.fleet.backoff import Backoff
from edged.fleet.link import Link
from edged.fleet.session import Inbound
from edged.fleet.settings import LinkSettings, TlsFiles
from fakes.broker import FakeBroker
from fakes.brokers import free_port
from fakes.realclock import RealClock
from fakes.station import MakeStation, seqs
from fakes.waiting import until


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    made = FakeBroker()
    yield made
    made.close()


def test_what_is_put_arrives_once_in_order_and_leaves_the_outbox(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port).online()

    one.put(200)

    assert one.outbox.drain(60)
    assert seqs(broker.payloads("result/a")) == list(range(1, 201))
    assert one.outbox.pending() == 0


def test_birth_follows_the_subscriptions_and_is_retained(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port, groups=("line-a",)).online()
    assert one.outbox.drain(60)

    assert broker.subscribed[-1] == "edged/v1/g/line-a/in/desired"
    (topic, payload, qos, retained) = broker.published[0]
    assert (topic, qos, retained) == ("edged/v1/d/press-07/out/status", 1, True)
    body = json.loads(payload)
    assert (body["state"], body["seq"], body["boot_id"]) == ("online", 1, "boot-1")


def test_a_stop_delivers_says_offline_and_disconnects(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port).online()
    one.put(50)

    one.link.stop(60)

    assert len(broker.payloads("result/a")) == 50
    assert json.loads(broker.payloads("status")[-1])["state"] == "offline"
    until(lambda: broker.goodbyes == [0], "a plain DISCONNECT")
    assert one.link.state.phase == "stopped"


def test_a_stop_does_not_wait_for_a_broker_that_takes_no_connection(station: MakeStation) -> None:
    with ExitStack() as held, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # more than wait there: the kernel answers nobody else
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        one = station(deaf.getsockname()[1]).start()
        until(lambda: one.link.state.phase == "connecting", "it connects")

        began_s = time.monotonic()
        one.link.stop(60)

    assert time.monotonic() - began_s < 20


def test_a_stop_without_acknowledgements_lets_the_will_speak(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port).online()
    broker.acks = False
    one.put(5)

    one.link.stop(0.6)

    until(lambda: broker.goodbyes == [4], "a DISCONNECT with will")
    assert one.outbox.pending() >= 5


def test_the_will_is_offline_without_a_number(broker: FakeBroker, station: MakeStation) -> None:
    station(broker.port).online()

    start = broker.wills[0].index(b'{"schema"')
    will = json.loads(broker.wills[0][start : broker.wills[0].index(b"}", start) + 1])
    assert (will["state"], will["reason"]) == ("offline", "connection-lost")
    assert "seq" not in will


def test_the_protocol_falls_back_to_3_1_1(broker: FakeBroker, station: MakeStation) -> None:
    broker.speaks = (4,)

    one = station(broker.port).online()

    assert broker.connects == [5, 4]
    assert one.link.state.protocol == 4
    assert "MQTT 3.1.1" in repr(one.link)


@pytest.mark.parametrize(("level", "maximum", "width"), [(5, 7, 7), (5, None, 64), (4, None, 20)])
def test_the_window_is_respected_before_and_after_a_reconnect(
    station: MakeStation, level: int, maximum: int, width: int
) -> None:
    broker = FakeBroker(speaks=(level,), receive_maximum=maximum, ack_delay_s=0.02, acks=False)
    one = station(broker.port).start()
    one.put(300)
    until(lambda: broker.most_unacked >= width, "the window is full")
    broker.acks = True
    until(lambda: len(broker.published) > 100, "a third is out")

    broker.drop()

    assert one.outbox.drain(60)
    assert one.link.connections == 2
    assert broker.most_unacked == width
    assert sorted(set(seqs(broker.payloads("result/a")))) == list(range(1, 301))
    broker.close()


def test_only_an_acknowledgement_deletes(broker: FakeBroker, station: MakeStation) -> None:
    broker.acks = False
    one = station(broker.port).online()
    one.put(10)
    until(lambda: len(broker.payloads("result/a")) == 10, "sent")
    assert one.outbox.pending() == 11

    broker.acks = True
    broker.drop()

    assert one.outbox.drain(60)
    assert seqs(broker.payloads("result/a")) == [*range(1, 11), *range(1, 11)]


@pytest.mark.parametrize(
    ("code", "kind", "slow"),
    [
        (0x87, "broker-auth", True),
        (0x86, "broker-auth", True),
        (0x88, "broker-unavailable", False),
        (0x9A, "broker-unsuited", True),
        (0x9B, "broker-unsuited", True),
    ],
)
def test_a_refusal_is_said_plainly(broker: FakeBroker, station: MakeStation, code: int, kind: str, slow: bool) -> None:
    broker.connack = code

    one = station(broker.port).start()
    until(lambda: one.link.state.phase == "waiting", "refused")

    state = one.link.state
    assert state.trouble is not None
    assert state.trouble.code == kind
    assert f"0x{code:02x}" in state.trouble.message
    assert state.trouble.remedy
    assert state.retry_s is not None
    assert (state.retry_s >= 15) == slow
    assert kind in repr(one.link)


def test_no_broker_at_all_is_said_plainly(station: MakeStation) -> None:
    one = station(free_port()).start()

    until(lambda: one.link.state.phase == "waiting", "waiting")

    assert one.link.state.trouble.code == "broker-down"
    assert one.link.alive


def test_a_ca_that_is_not_there_is_said_plainly(broker: FakeBroker, station: MakeStation, tmp_path: Path) -> None:
    one = station(broker.port, tls=TlsFiles(ca=tmp_path / "none.pem")).start()

    until(lambda: one.link.state.phase == "waiting", "waiting")

    assert one.link.state.trouble.code == "broker-tls-file"


def test_a_plain_port_where_tls_is_expected_is_said_plainly(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port, tls=TlsFiles()).start()

    until(lambda: one.link.state.phase == "waiting", "waiting")

    assert one.link.state.trouble.code in {"broker-tls", "broker-unreachable"}


def test_a_connection_that_falls_silent_is_given_up_within_one_and_a_half_keepalives(
    broker: FakeBroker, station: MakeStation
) -> None:
    one = station(broker.port, keepalive_s=2).online()
    assert one.outbox.drain(30)
    broker.mute = True

    until(lambda: one.link.state.phase != "online", "noticed", within_s=2 * 1.5 + 1.5)


def test_a_refused_subscription_is_told_and_the_link_stays(broker: FakeBroker, station: MakeStation) -> None:
    broker.suback = 0x87

    one = station(broker.port).online()

    assert one.link.state.trouble.code == "broker-auth"


def test_a_document_that_the_broker_never_takes_is_declared(broker: FakeBroker, station: MakeStation) -> None:
    broker.max_packet = 2000
    one = station(broker.port).online()
    one.put(1, size=5000)
    one.put(1)

    until(lambda: broker.payloads("alert"), "a gap record")
    gap = json.loads(broker.payloads("alert")[0])
    assert (gap["stream"], gap["first_seq"], gap["reason"]) == ("result/a", 1, "broker-packet-limit")
    assert seqs(broker.payloads("result/a")) == [2]


def test_a_denied_publish_loses_nothing_and_the_connection_stays(broker: FakeBroker, station: MakeStation) -> None:
    broker.puback_code = 0x87
    one = station(broker.port).online()
    one.put(3)
    until(lambda: len(one.link.troubles()) == 1 and "status" in one.link.troubles()[0].message, "denied")
    until(lambda: "result/a" in one.link.troubles()[0].message, "denied, too")

    assert one.link.state.phase == "online"
    (trouble,) = one.link.troubles()
    assert (trouble.code, trouble.component) == ("broker-topic-denied", "mqtt")
    assert "access rules" in trouble.remedy
    assert one.outbox.pending() == 4


def test_a_denied_topic_costs_its_own_stream_alone(broker: FakeBroker, station: MakeStation) -> None:
    broker.denies = frozenset({"edged/v1/d/press-07/out/result/a"})
    one = station(broker.port).online()
    one.put(700, "result/a")
    one.put(700, "result/b")
    one.put(50, "result/a")

    until(lambda: len(broker.payloads("result/b")) == 700, "all of the other stream")
    until(lambda: one.outbox.pending() == 750, "the denied ones are kept")
    assert seqs(broker.payloads("result/b")) == list(range(1, 701))
    assert len(broker.payloads("result/a")) <= 128, "a denied stream is not tried on and on"


def test_a_denied_stream_passes_in_order_and_once_when_the_rules_are_mended(
    broker: FakeBroker, station: MakeStation
) -> None:
    broker.denies = frozenset({"edged/v1/d/press-07/out/result/a"})
    one = station(broker.port).online()
    one.put(600, "result/a")
    one.put(10, "result/b")
    until(lambda: one.outbox.pending() == 600, "denied")
    tried = len(broker.payloads("result/a"))
    broker.denies = frozenset()

    one.link._denied_until_s = 0.0
    one.put(5, "result/a")

    assert one.outbox.drain(60)
    assert seqs(broker.payloads("result/a"))[tried:] == list(range(1, 606))
    assert seqs(broker.payloads("result/b")) == list(range(1, 11))
    assert one.link.troubles() == ()


def test_another_connection_tries_what_was_denied_again(broker: FakeBroker, station: MakeStation) -> None:
    broker.denies = frozenset({"edged/v1/d/press-07/out/result/a"})
    one = station(broker.port).online()
    one.put(3, "result/a")
    until(one.link.troubles, "denied")
    broker.denies = frozenset()
    broker.drop()

    assert one.outbox.drain(60)
    until(lambda: one.link.troubles() == (), "well again")


def test_inbound_messages_reach_the_handler_and_its_faults_do_no_harm(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port).online()
    heard: list[Inbound] = []

    def handle(message: Inbound) -> None:
        heard.append(message)
        if message.payload == b"bad":
            raise RuntimeError

    one.on_message = handle
    broker.send("edged/v1/d/press-07/in/command", b"bad")
    broker.send("edged/v1/d/press-07/in/desired", b"good", retained=True)

    until(lambda: len(heard) == 2, "both")
    assert [(message.topic[-7:], message.payload, message.retained) for message in heard] == [
        ("command", b"bad", False),
        ("desired", b"good", True),
    ]
    assert one.link.faults == 1
    assert one.link.alive


def test_qos_0_goes_round_the_outbox(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port).online()
    one.put(5, "result/live", qos=0)

    until(lambda: len(broker.payloads("result/live")) == 5, "all")
    assert one.outbox.committed("result/live") == 0
    assert {qos for topic, _, qos, _ in broker.published if topic.endswith("live")} == {0}


def test_settings_that_no_broker_understands_are_refused() -> None:
    with pytest.raises(ValueError, match="port"):
        LinkSettings("h", 0, "d")
    with pytest.raises(ValueError, match="keepalive_s"):
        LinkSettings("h", 1883, "d", keepalive_s=0)


def events_open() -> int:
    """Count what this process has open to be woken by."""
    found = 0
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += str(file.readlink()) == "anon_inode:[eventfd]"
    return found


def test_a_link_that_nobody_holds_leaves_no_file_open(station: MakeStation) -> None:
    held = station(free_port())
    gc.collect()  # links of earlier tests
    before = events_open()
    made = Link(LinkSettings("127.0.0.1", free_port(), "press-08"), held.outbox, RealClock(), held.inbound.append)
    during = events_open()

    del made
    gc.collect()

    assert (during, events_open()) == (before + 1, before)


def test_a_password_never_shows() -> None:
    assert "canary" not in repr(LinkSettings("h", 1883, "d", username="u", password="canary"))  # noqa: S106


def test_another_client_of_the_same_id_is_told_also_once_it_is_online_again(
    broker: FakeBroker, station: MakeStation
) -> None:
    one = station(broker.port, backoff=Backoff(base_s=0.05, cap_s=0.2, slow_s=0.2)).online()
    assert one.link.troubles() == ()

    broker.take_over()

    until(lambda: one.link.connections == 2, "online again")
    (trouble,) = one.link.troubles()
    assert trouble.code == "broker-taken-over"
    assert "another client uses this device's id" in trouble.message


def test_a_password_that_comes_late_is_waited_for(broker: FakeBroker, station: MakeStation) -> None:
    given: list[str] = []

    def password() -> str | None:
        if not given:
            raise DeviceError("cannot read the secret in x: absent", remedy="put it there", code="credential-missing")
        return given[0]

    one = station(broker.port, password_now=password, username="press-07").start()
    until(lambda: one.link.state.phase == "waiting", "without a password")
    (trouble,) = one.link.troubles()
    assert (trouble.code, trouble.component, trouble.remedy) == ("credential-missing", "mqtt", "put it there")
    assert broker.connects == []

    given.append("right")

    until(lambda: one.link.state.phase == "online", "online")
    assert one.link.troubles() == ()
    assert b"right" in broker.wills[0]
