"""A broker that takes no packets as large as some documents: they are lost, and health says so, with both sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.fleet.oversize import TOLD_S, Oversize, packet_bytes
from edged.fleet.ready import Row
from edged.fleet.trouble import Trouble
from fakes import brokers
from fakes.broker import FakeBroker
from fakes.station import MakeStation, Station, seqs
from fakes.waiting import until

CODE = "broker-packet-limit"
AWAY = Trouble("broker-down", "mqtt", "away", "start it")


def row(size: int, stream: str = "result/a") -> Row:
    return Row(1, 1, stream, 1, 1, retain=False, payload=b"x" * size)


@pytest.fixture
def oversize() -> Oversize:
    made = Oversize("broker:1883")
    for stream, size in (("result/a", 5000), ("event/a", 900), ("result/b", 2000)):
        made.add(row(size, stream), size + 40, 800, 10.0)
    return made


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    made = FakeBroker()
    yield made
    made.close()


def told(one: Station) -> list[str]:
    return [trouble.message for trouble in one.link.troubles() if trouble.code == CODE]


def test_it_tells_the_limit_how_many_and_the_smallest(oversize: Oversize) -> None:
    (trouble,) = oversize.troubles(None, 20.0)

    assert (trouble.code, trouble.component) == (CODE, "mqtt")
    assert trouble.message == (
        "cannot publish at broker:1883: it takes packets of 800 bytes at most, expected 940 and more: 3 documents lost lately, "
        "of which the smallest, of event/a, needs as much"
    )
    assert "max_packet_size" in trouble.remedy


def test_it_stands_beside_another_trouble_and_for_one_of_its_own_code(oversize: Oversize) -> None:
    short = Trouble(CODE, "mqtt", "answered 0x95", "raise it")

    assert [one.code for one in oversize.troubles(AWAY, 20.0)] == ["broker-down", CODE]
    assert [one.message != short.message for one in oversize.troubles(short, 20.0)] == [True]


def test_it_is_over_when_one_as_large_passes_and_not_before(oversize: Oversize) -> None:
    oversize.passed([row(899)])
    assert len(oversize.troubles(None, 20.0)) == 1

    oversize.passed([row(10), row(900)])

    assert oversize.troubles(None, 20.0) == []


def test_it_is_over_some_minutes_after_the_last_and_counts_anew_then(oversize: Oversize) -> None:
    assert oversize.troubles(AWAY, 10.0 + TOLD_S) == [AWAY]

    oversize.add(row(7000), 7040, None, 10.0 + TOLD_S)

    (trouble,) = oversize.troubles(None, 11.0 + TOLD_S)
    assert "0x95 (Packet too large), expected 7040 and more: 1 document lost" in trouble.message


def test_a_broker_whose_limit_refuses_every_document_is_told(broker: FakeBroker, station: MakeStation) -> None:
    broker.max_packet = 50
    one = station(broker.port).online()
    one.put(3)

    until(lambda: told(one) and "4 documents" in told(one)[0], f"status and results are refused: {one.link.troubles()}")

    assert "packets of 50 bytes at most" in told(one)[0]
    assert "the smallest, of result/a," in told(one)[0]
    assert broker.published == []


def test_it_passes_when_the_broker_comes_back_with_another_limit(broker: FakeBroker, station: MakeStation) -> None:
    broker.max_packet = 2000
    one = station(broker.port).online()
    one.put(1, size=5000)
    until(lambda: told(one), "refused")
    broker.max_packet = None
    broker.drop()

    one.put(1, size=5000)

    until(lambda: not told(one), "it passed")
    assert seqs(broker.payloads("result/a")) == [2]


def test_a_broker_that_answers_0x95_to_one_document_loses_it_alone(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port).online()
    assert one.outbox.drain(60)
    broker.puback_code = 0x95
    one.put(1, size=500)
    until(lambda: told(one), "refused")
    broker.puback_code = 0

    one.put(1)

    assert one.outbox.drain(60)
    assert one.link.connections == 1
    until(lambda: broker.payloads("alert"), "the gap is declared")
    gap = json.loads(broker.payloads("alert")[0])
    assert (gap["stream"], gap["first_seq"], gap["reason"]) == ("result/a", 1, CODE)


def test_a_broker_that_hangs_up_with_0x95_is_told_and_gets_the_rest(broker: FakeBroker, station: MakeStation) -> None:
    broker.hangs_up_above = 3000
    one = station(broker.port).online()
    assert one.outbox.drain(60)
    one.put(1)
    one.put(1, size=5000)
    one.put(2)

    assert one.outbox.drain(60)

    assert sorted(set(seqs(broker.payloads("result/a")))) == [1, 3, 4]
    assert "0x95 (Packet too large)" in told(one)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("max_packet_size 2000", "it takes packets of 2000 bytes at most"),
        ("message_size_limit 2000", "0x95 (Packet too large)"),
    ],
)
def test_mosquitto_with_a_limit_is_told_with_both_sizes(
    line: str, seen: str, station: MakeStation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    broker = brokers.mosquitto(tmp_path, line)
    request.addfinalizer(broker.close)
    one = station(broker.port).online()
    one.put(1, size=9000)
    one.put(1, size=5000)
    one.put(1)

    assert one.outbox.drain(60)

    (message,) = told(one)
    assert seen in message
    assert "2 documents lost lately" in message
    least = int(message.partition("expected ")[2].split()[0])
    assert 5000 < least < 5500
    assert one.link.connections == 1
    assert packet_bytes("t", b"12") == 19
