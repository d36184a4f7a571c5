"""Our way of reading, and of taking acknowledgements, in paho's client: over a real socket, without a broker."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edged.fleet.client import Client


class _Connected:
    """A client in the middle of a connection, the broker's end of it, and what the client told: (packet id, reason code)."""

    def __init__(self) -> None:
        ours, self.broker = socket.socketpair()
        ours.setblocking(False)
        self.client = Client(CallbackAPIVersion.VERSION2, "d", protocol=mqtt.MQTTv5)
        self.client._sock = ours
        self.told: list[tuple[int, int]] = []
        self.client.on_publish = self._told

    def _told(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self.told.append((mid, reason.value))

    def publish(self) -> None:
        """Have one more document on its way; the first has packet id 1."""
        self.client.publish("t", b"x", 1)


@pytest.fixture
def connected() -> Iterator[_Connected]:
    made = _Connected()
    yield made
    made.broker.close()
    if (sock := made.client.socket()) is not None:
        sock.close()


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"\x40\x02\x00\x01", 0x00),
        (b"\x40\x03\x00\x01\x10", 0x00),
        (b"\x40\x04\x00\x01\x10\x00", 0x10),
        (b"\x40\x03\x00\x01\x87", 0x87),
        (b"\x40\x04\x00\x01\x97\x00", 0x97),
        (b"\x40\x03\x00\x01\x95", 0x95),
        (b"\x40\x04\x00\x01\x95\x00", 0x95),
    ],
)
def test_an_acknowledgement_settles_its_document_and_a_failure_keeps_its_reason(
    connected: _Connected, packet: bytes, reason: int
) -> None:
    connected.publish()
    connected.broker.sendall(packet)

    connected.client.loop_read()

    assert connected.told == [(1, reason)]


def test_an_acknowledgement_of_nothing_is_ignored(connected: _Connected) -> None:
    connected.publish()
    connected.broker.sendall(b"\x40\x02\x00\x09")

    connected.client.loop_read()

    assert connected.told == []


def test_what_is_read_too_far_is_told_and_read_the_next_time(connected: _Connected) -> None:
    connected.publish()
    connected.broker.sendall(b"\x40\x02\x00\x01\xd0\x00\xd0")

    connected.client.loop_read()
    assert connected.client.has_unread
    connected.client.loop_read()
    connected.client.loop_read()

    assert connected.told == [(1, 0)]
    assert not connected.client.has_unread


def test_an_acknowledgement_in_pieces_counts_once_it_is_whole(connected: _Connected) -> None:
    connected.publish()
    for piece in (b"\x40", b"\x02\x00", b"\x01"):
        assert connected.told == []
        connected.broker.sendall(piece)
        connected.client.loop_read()

    assert connected.told == [(1, 0)]


def test_the_end_of_the_connection_is_seen(connected: _Connected) -> None:
    connected.broker.close()

    connected.client.loop_read()

    assert connected.client.socket() is None


@pytest.mark.parametrize("name", ["_sock_recv", "_handle_pubackcomp"])
def test_paho_still_has_what_is_done_otherwise(name: str) -> None:
    assert name in vars(mqtt.Client)
