"""What a link carries besides the device's own topics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edged.fleet.link import BESIDE
from edged.telemetry import logs
from fakes.broker import FakeBroker
from fakes.station import MakeStation
from fakes.waiting import until

TOPIC, BIRTH = "homeassistant/device/press-07/config", "homeassistant/status"


@pytest.fixture(params=[(4, 5), (4,)], ids=["MQTT 5", "MQTT 3.1.1"])
def broker(request: pytest.FixtureRequest) -> Iterator[FakeBroker]:
    made = FakeBroker(speaks=request.param)
    yield made
    made.close()


def beside(broker: FakeBroker) -> list[tuple[str, bytes, int, bool]]:
    return [one for one in list(broker.published) if not one[0].startswith("edged/")]


def test_it_is_published_retained_without_waiting_for_an_acknowledgement(
    broker: FakeBroker, station: MakeStation
) -> None:
    one = station(broker.port, beside=(BIRTH,)).online()
    one.link.send_beside(TOPIC, b"{}")
    until(lambda: beside(broker) == [(TOPIC, b"{}", 0, True)], "the message")
    assert broker.subscribed[-1] == BIRTH
    one.put(20)
    assert one.outbox.drain(60)


def test_what_comes_there_is_handed_on(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port, beside=(BIRTH,)).online()
    broker.send(BIRTH, b"online")
    until(lambda: [(got.topic, got.payload) for got in one.inbound] == [(BIRTH, b"online")], "the message")


def test_while_there_is_no_broker_the_newest_wait(broker: FakeBroker, station: MakeStation) -> None:
    one = station(broker.port)
    for number in range(BESIDE + 3):
        one.link.send_beside(TOPIC, str(number).encode())
    one.online()
    until(lambda: len(beside(broker)) == BESIDE, "those that waited")
    assert next(payload for _, payload, _, _ in beside(broker)) == b"3"


def test_what_is_larger_than_the_broker_takes_is_left_out_and_told_and_the_connection_stays(
    station: MakeStation, caplog: pytest.LogCaptureFixture
) -> None:
    broker = FakeBroker(max_packet=1000)
    try:
        one = station(broker.port).online()
        one.link.send_beside(TOPIC, b"x" * 2000)
        one.link.send_beside(TOPIC, b"small")
        until(lambda: [payload for _, payload, _, _ in beside(broker)] == [b"small"], "the small one")
        told = next(one for one in caplog.records if one.getMessage() == "beside.refused")
        assert getattr(told, logs.FIELDS)["limit"] == 1000
    finally:
        broker.close()
