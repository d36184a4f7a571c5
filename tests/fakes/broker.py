"""An MQTT broker small enough to check what a client does: it counts what is unacknowledged and writes before it
answers.

As a program (``python broker.py PORT JOURNAL``) it appends ``topic<TAB>payload`` of every PUBLISH to the journal before
its PUBACK, so that a test that kills it knows exactly what it took.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


@dataclass
class FakeBroker:
    """``connack`` is the answer to CONNECT; ``speaks`` the protocol levels; ``acks`` False keeps every PUBACK back."""

    connack: int = 0
    speaks: tuple[int, ...] = (4, 5)
    receive_maximum: int | None = None
    max_packet: int | None = None
    ack_delay_s: float = 0.0
    acks: bool = True
    puback_code: int = 0
    denies: frozenset[str] = frozenset()
    """Topics whose PUBACK says "not authorized", MQTT 5 only."""
    hangs_up_above: int | None = None
    """It sends DISCONNECT "packet too large" in answer to a larger PUBLISH, MQTT 5 only."""
    mute: bool = False
    suback: int = 1
    port: int = 0
    journal: int | None = None
    published: list[tuple[str, bytes, int, bool]] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    wills: list[bytes] = field(default_factory=list)
    connects: list[int] = field(default_factory=list)
    goodbyes: list[int] = field(default_factory=list)
    most_unacked: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join(2)

    def drop(self) -> None:
        """Hang up on everyone."""
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def send(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Publish to the last client that connected, QoS 0."""
        level = self.connects[-1]
        body = len(topic).to_bytes(2, "big") + topic.encode() + (b"\0" if level == 5 else b"") + payload
        self._connections[-1].sendall(packet(PUBLISH, int(retained), body))

    def take_over(self) -> None:
        """Disconnect the last client that connected, as if another one of its id had come; MQTT 5 only."""
        self._connections[-1].sendall(packet(DISCONNECT, 0, b"\x8e\0"))

    def payloads(self, stream: str) -> list[bytes]:
        return [payload for topic, payload, _, _ in list(self.published) if topic.endswith("/out/" + stream)]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                Conversation(self, connection, stream).run()
            except (OSError, EOFError, ValueError, IndexError):
                return


class Conversation:
    """One client."""

    def __init__(self, broker: FakeBroker, connection: socket.socket, stream: Any) -> None:
        self._broker, self._connection, self._stream = broker, connection, stream
        self._level = 4
        self._waiting: deque[tuple[float, bytes, int]] = deque()

    def run(self) -> None:
        if self._broker.ack_delay_s:
            threading.Thread(target=self._acknowledge_late, daemon=True).start()
        while True:
            if not self._broker.ack_delay_s:
                self._acknowledge()
            if not self._handle(*self._read()):
                return

    def _handle(self, kind: int, flags: int, body: bytes) -> bool:
        """Answer one packet; False ends the conversation."""
        if kind == DISCONNECT:
            self._broker.goodbyes.append(body[0] if body else 0)
            return False
        if kind == CONNECT:
            return self._connect(body)
        if kind == PUBLISH:
            if self._broker.hangs_up_above is not None and len(body) > self._broker.hangs_up_above:
                self._connection.sendall(packet(DISCONNECT, 0, b"\x95\0"))
                return False
            self._publish(flags, body)
        if kind == SUBSCRIBE:
            self._subscribe(body)
        if kind == PINGREQ and not self._broker.mute:
            self._connection.sendall(packet(PINGRESP, 0, b""))
        return True

    def _connect(self, body: bytes) -> bool:
        broker = self._broker
        self._level = body[6]
        broker.connects.append(self._level)
        if self._level not in broker.speaks:
            # As amqtt answers MQTT 5: the return code of 3.1.1.
            self._connection.sendall(packet(CONNACK, 0, bytes((0, 1))))
            return False
        broker.wills.append(body)
        properties = b""
        if broker.receive_maximum is not None:
            properties += b"\x21" + broker.receive_maximum.to_bytes(2, "big")
        if broker.max_packet is not None:
            properties += b"\x27" + broker.max_packet.to_bytes(4, "big")
        tail = bytes((len(properties),)) + properties if self._level == 5 else b""
        if not broker.mute:
            self._connection.sendall(packet(CONNACK, 0, bytes((0, broker.connack)) + tail))
        return broker.connack == 0

    def _publish(self, flags: int, body: bytes) -> None:
        broker = self._broker
        end = 2 + int.from_bytes(body[:2], "big")
        topic, qos = body[2:end].decode(), (flags >> 1) & 3
        mid, rest = (body[end : end + 2], body[end + 2 :]) if qos else (b"", body[end:])
        payload = rest[1 + rest[0] :] if self._level == 5 else rest
        if broker.journal is not None:
            os.write(broker.journal, topic.encode() + b"\t" + payload + b"\n")
        broker.published.append((topic, payload, qos, bool(flags & 1)))
        if qos:
            code = 0x87 if topic in broker.denies else broker.puback_code
            self._waiting.append((time.monotonic() + broker.ack_delay_s, mid, code))
            broker.most_unacked = max(broker.most_unacked, len(self._waiting))

    def _acknowledge(self) -> None:
        broker = self._broker
        while broker.acks and self._waiting and self._waiting[0][0] <= time.monotonic():
            _, mid, code = self._waiting.popleft()
            tail = bytes((code, 0)) if self._level == 5 and code else b""
            self._connection.sendall(packet(PUBACK, 0, mid + tail))

    def _acknowledge_late(self) -> None:
        try:
            while True:
                time.sleep(self._broker.ack_delay_s / 4)
                self._acknowledge()
        except OSError:
            return

    def _subscribe(self, body: bytes) -> None:
        rest = body[2:]
        if self._level == 5:
            rest = rest[1 + rest[0] :]
        codes = b""
        while rest:
            end = 2 + int.from_bytes(rest[:2], "big")
            self._broker.subscribed.append(rest[2:end].decode())
            codes += bytes((self._broker.suback,))
            rest = rest[end + 1 :]
        self._connection.sendall(packet(SUBACK, 0, body[:2] + (b"\0" if self._level == 5 else b"") + codes))

    def _read(self) -> tuple[int, int, bytes]:
        first = self._take(1)[0]
        length = shift = 0
        while True:
            byte = self._take(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return first >> 4, first & 15, self._take(length)

    def _take(self, count: int) -> bytes:
        data: bytes = self._stream.read(count)
        if len(data) < count:
            raise EOFError
        return data


def packet(kind: int, flags: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, byte = rest >> 7, rest & 127
        length += bytes((byte | (128 if rest else 0),))
        if not rest:
            return bytes((kind << 4 | flags,)) + length + body


def main() -> None:
    journal = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    FakeBroker(port=int(sys.argv[1]), journal=journal)
    threading.Event().wait()


if __name__ == "__main__":
    main()
