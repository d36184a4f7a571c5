"""Many MQTT connections on one thread: each box has its own, with its own will, and comes back with a box's own jitter."""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.fleet.backoff import Backoff, Retry

KEEPALIVE_S = 60
LOOK_S = 1.0
"""How often keep-alives are looked after."""
SESSION_S = 3600


@dataclass(slots=True)
class Traffic:
    """Of all boxes together; bytes of topics and payloads, without the protocol's own few."""

    messages: int = 0
    payload_bytes: int = 0

    def add(self, topic: str, payload: bytes) -> None:
        """Count a message."""
        self.messages += 1
        self.payload_bytes += len(topic) + len(payload)


@dataclass(frozen=True, slots=True)
class Message:
    """What a box publishes."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(slots=True)
class Member:
    """One box's connection. ``heard`` and ``connected`` are called on the crowd's thread."""

    name: str
    topic: str
    heard: Callable[[bytes], None]
    connected: Callable[[], None]
    will: tuple[str, bytes]
    retry: Retry
    client: mqtt.Client | None = None
    """A new one for each connection: what paho holds back it sends behind what is newer."""
    due_s: float | None = None
    """When it connects next, by the monotonic clock; None while it is connected, or on its way."""
    online_s: float = 0.0
    at: int = 0
    """Which of the ports it tries next."""
    is_counted: bool = True
    """Whether it is one of the fleet: who only listens costs no box anything."""
    waiting: dict[int, Message] = field(default_factory=dict)
    """Sent and not acknowledged, or not sent yet, in order: as a box's outbox has it."""
    numbers: Iterator[int] = field(default_factory=count)
    sent: dict[int, int] = field(default_factory=dict)
    """The numbers of what went over this connection, by MQTT's packet identifier."""


@dataclass(slots=True)
class Crowd:
    """``turn`` does what is due, again and again; the thread that calls it is the only one that touches a connection."""

    ports: tuple[int, ...]
    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
    seed: int = 0
    sent: Traffic = field(default_factory=Traffic)
    received: Traffic = field(default_factory=Traffic)
    arrivals_s: list[float] = field(default_factory=list)
    """When a connection was made, each."""
    acknowledged: Callable[[str, bytes], None] = lambda _topic, _payload: None
    """Told once of each message that the broker has taken."""
    _members: dict[str, Member] = field(default_factory=dict)
    _poll: select.epoll = field(default_factory=select.epoll)
    _by_socket: dict[int, mqtt.Client] = field(default_factory=dict)
    _look_s: float = 0.0

    def add(
        self,
        name: str,
        topic: str,
        will: tuple[str, bytes],
        heard: Callable[[bytes], None],
        connected: Callable[[], None] = lambda: None,
        *,
        is_counted: bool = True,
    ) -> None:
        """Have a box, or somebody who only listens, connect at the next turn, and hear of ``topic``."""
        jitter = random.Random(f"{self.seed} {name}").random  # noqa: S311 - no secret
        self._members[name] = Member(name, topic, heard, connected, will, Retry(Backoff(), jitter), due_s=0.0)
        self._members[name].at, self._members[name].is_counted = len(self._members), is_counted

    def publish(self, name: str, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish for a box; what cannot be sent now goes after it is connected again."""
        member, message = self._members[name], Message(topic, payload, qos, retain)
        number = next(member.numbers)
        if qos:
            member.waiting[number] = message
        if member.online_s:
            self._send(member, number, message)

    def cut(self, name: str, away_s: float) -> None:
        """Break a box's connection: nobody says goodbye, so that its will is told."""
        member = self._members[name]
        sock = member.client.socket() if member.client is not None else None
        member.due_s = time.monotonic() + away_s
        if isinstance(sock, socket.socket):
            sock.shutdown(socket.SHUT_RDWR)

    @property
    def online(self) -> int:
        """How many are connected."""
        return sum(bool(member.online_s) for member in self._members.values())

    def turn(self, timeout_s: float) -> None:
        """Wait for at most so long, and do what is due."""
        for descriptor, events in self._poll.poll(timeout_s):
            client = self._by_socket.get(descriptor)
            if client is not None and events & select.EPOLLOUT:
                client.loop_write()
            if client is not None and events & ~select.EPOLLOUT:
                client.loop_read()
        now_s = time.monotonic()
        for member in self._members.values():
            if member.due_s is not None and member.due_s <= now_s and not member.online_s:
                self._connect(member)
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            for client in list(self._by_socket.values()):
                client.loop_misc()

    def close(self) -> None:
        """Let all go."""
        for member in self._members.values():
            client = member.client
            if client is None:
                continue
            client.on_disconnect = client.on_socket_close = None
            client.on_socket_register_write = client.on_socket_unregister_write = None
            client.disconnect()
        self._poll.close()

    def _connect(self, member: Member) -> None:
        member.due_s, member.client = None, self._client(member)
        member.sent.clear()
        try:
            port = self.ports[member.at % len(self.ports)]
            if self.protocol is MQTTProtocolVersion.MQTTv5:
                member.client.connect("127.0.0.1", port, KEEPALIVE_S, clean_start=False, properties=_session())
            else:
                member.client.connect("127.0.0.1", port, KEEPALIVE_S)
        except OSError:
            member.at += 1
            member.due_s = time.monotonic() + member.retry.after(0.0)

    def _client(self, member: Member) -> mqtt.Client:
        is_new = self.protocol is MQTTProtocolVersion.MQTTv5  # whose sessions are kept by what CONNECT says
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, member.name, None if is_new else False, protocol=self.protocol
        )
        client.will_set(*member.will, qos=1, retain=True)
        client.user_data_set(member)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message, client.on_publish = self._on_message, self._on_publish
        client.on_socket_open, client.on_socket_close = self._opened, self._closed
        client.on_socket_register_write = lambda _c, _u, sock: self._poll.modify(sock, select.EPOLLIN | select.EPOLLOUT)
        client.on_socket_unregister_write = lambda _c, _u, sock: self._poll.modify(sock, select.EPOLLIN)
        return client

    def _send(self, member: Member, number: int, message: Message) -> None:
        if member.client is None:
            return
        self.sent.add(message.topic, message.payload)
        sent = member.client.publish(message.topic, message.payload, message.qos, message.retain)
        member.sent[sent.mid] = number

    def _on_connect(self, client: mqtt.Client, member: Member, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            return
        member.online_s = time.monotonic()
        if member.is_counted:
            self.arrivals_s.append(member.online_s)
        client.subscribe(member.topic, 1)
        for number, message in list(member.waiting.items()):
            self._send(member, number, message)
        member.connected()

    def _on_disconnect(self, _client: mqtt.Client, member: Member, *_: Any) -> None:
        now_s = time.monotonic()
        member.at += 1
        if member.due_s is None:
            member.due_s = now_s + member.retry.after(now_s - member.online_s if member.online_s else 0.0)
        member.online_s = 0.0

    def _on_message(self, _client: mqtt.Client, member: Member, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if member.is_counted:
            self.received.add(message.topic, payload)
        member.heard(payload)

    def _on_publish(self, _client: mqtt.Client, member: Member, mid: int, *_: Any) -> None:
        message = member.waiting.pop(member.sent.pop(mid, -1), None)
        if message is not None:
            self.acknowledged(message.topic, message.payload)

    def _opened(self, client: mqtt.Client, _member: Member, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._by_socket[sock.fileno()] = client
        self._poll.register(sock, select.EPOLLIN)

    def _closed(self, _client: mqtt.Client, _member: Member, sock: Any) -> None:
        self._by_socket.pop(sock.fileno(), None)
        self._poll.unregister(sock)


def _session() -> Properties:
    kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own is not annotated
    kept.SessionExpiryInterval = SESSION_S
    return kept
