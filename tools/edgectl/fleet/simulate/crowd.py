"""Many MQTT connections on one thread: each box has its own, with its own will, and comes back with a box's own jitter."""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
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


@dataclass(slots=True)
class Member:
    """One box's connection. ``heard`` and ``connected`` are called on the crowd's thread."""

    name: str
    topic: str
    heard: Callable[[bytes], None]
    connected: Callable[[], None]
    client: mqtt.Client
    retry: Retry
    due_s: float | None = None
    """When it connects next, by the monotonic clock; None while it is connected, or on its way."""
    online_s: float = 0.0


@dataclass(slots=True)
class Crowd:
    """``turn`` does what is due, again and again; the thread that calls it is the only one that touches a connection."""

    port: int
    seed: int = 0
    sent: Traffic = field(default_factory=Traffic)
    received: Traffic = field(default_factory=Traffic)
    arrivals_s: list[float] = field(default_factory=list)
    """When a connection was made, each."""
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
        connected: Callable[[], None],
    ) -> None:
        """Have a box connect at the next turn, and hear of ``topic``."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        client.will_set(*will, qos=1, retain=True)
        jitter = random.Random(f"{self.seed} {name}").random  # noqa: S311 - no secret
        member = Member(name, topic, heard, connected, client, Retry(Backoff(), jitter), due_s=0.0)
        client.user_data_set(member)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message = self._on_message
        client.on_socket_open, client.on_socket_close = self._opened, self._closed
        client.on_socket_register_write = lambda _c, _u, sock: self._poll.modify(sock, select.EPOLLIN | select.EPOLLOUT)
        client.on_socket_unregister_write = lambda _c, _u, sock: self._poll.modify(sock, select.EPOLLIN)
        self._members[name] = member

    def publish(self, name: str, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish for a box; what cannot be sent now goes after it is connected again."""
        self.sent.add(topic, payload)
        self._members[name].client.publish(topic, payload, qos, retain)

    def cut(self, name: str, away_s: float) -> None:
        """Break a box's connection: nobody says goodbye, so that its will is told."""
        member = self._members[name]
        sock = member.client.socket()
        member.due_s = time.monotonic() + away_s
        if isinstance(sock, socket.socket):
            sock.shutdown(socket.SHUT_RDWR)

    @property
    def online(self) -> int:
        """How many are connected."""
        return sum(member.client.is_connected() for member in self._members.values())

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
            if member.due_s is not None and member.due_s <= now_s and member.client.socket() is None:
                self._connect(member)
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            for member in self._members.values():
                member.client.loop_misc()

    def close(self) -> None:
        """Let all go."""
        for member in self._members.values():
            client = member.client
            client.on_disconnect = client.on_socket_close = None
            client.on_socket_register_write = client.on_socket_unregister_write = None
            client.disconnect()
        self._poll.close()

    def _connect(self, member: Member) -> None:
        member.due_s = None
        try:
            member.client.connect("127.0.0.1", self.port, KEEPALIVE_S, clean_start=False, properties=_session())
        except OSError:
            member.due_s = time.monotonic() + member.retry.after(0.0)

    def _on_connect(self, client: mqtt.Client, member: Member, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            return
        member.online_s = time.monotonic()
        self.arrivals_s.append(member.online_s)
        client.subscribe(member.topic, 1)
        member.connected()

    def _on_disconnect(self, _client: mqtt.Client, member: Member, *_: Any) -> None:
        now_s = time.monotonic()
        if member.due_s is None:
            member.due_s = now_s + member.retry.after(now_s - member.online_s if member.online_s else 0.0)
        member.online_s = 0.0

    def _on_message(self, _client: mqtt.Client, member: Member, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        self.received.add(message.topic, payload)
        member.heard(payload)

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
