"""One MQTT connection from CONNECT to its end, over a paho client of its own, driven by the link's thread alone.

A fresh client each time: paho would send everything it still holds at once after a reconnect. No paho thread: an
exception in a callback would end it while ``is_connected()`` stays true.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged.fleet import refusal, topics
from edged.fleet.client import Client
from edged.fleet.oversize import packet_bytes
from edged.fleet.ready import Row
from edged.fleet.refusal import Refusal
from edged.fleet.reply import correlation_of, traceparent_of
from edged.fleet.settings import SESSION_EXPIRY_S, LinkSettings
from edged.fleet.window import Window, width
from edged.telemetry import logs
from edged.telemetry.trace import NAME, read_traceparent

log = logging.getLogger(__name__)

MQTT5, MQTT311 = 5, 4
FAILED = 0x80
"""Reason codes from here on are failures (MQTT 5, 2.4)."""
REFUSED_FOR_GOOD = frozenset({0x90, 0x99})
"""Topic name or payload format invalid: the same document would be refused again."""
NOT_AUTHORIZED = 0x87
"""An access rule for one topic; the others may be open. On 3.1.1 a broker has no word for it, and takes without passing on."""
DISCONNECT_WITH_WILL = 0x04


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message for this device. ``response_stream`` is where an MQTT 5 sender wants the answer, when it is the device's own.

    ``traceparent`` is the trace that it belongs to, where its sender names one.
    """

    topic: str
    payload: bytes
    retained: bool
    response_stream: str | None = None
    correlation: bytes | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a session tells its link, on the link's thread.

    What came in, which rows are settled, which never will be, which are too large for the broker (with their packet's size, and the
    limit where it is known), and which the broker's access rules forbid now.
    """

    inbound: Callable[[Inbound], None]
    settled: Callable[[Sequence[Row]], None]
    refused: Callable[[Row, str], None]
    oversize: Callable[[Row, int, int | None], None]
    denied: Callable[[Row], None]
    fault: Callable[[str], None]


class Session:
    """Owned by one thread. ``ended`` says why it is over, None while it lasts."""

    def __init__(self, settings: LinkSettings, protocol: int, will: bytes, hooks: Hooks) -> None:
        self._settings, self._protocol, self._hooks = settings, protocol, hooks
        self.accepted = self.subscribed = False
        self.ended: Refusal | None = None
        self.subscription: Refusal | None = None
        self.window = Window(0)
        self._packet_limit: int | None = None
        self._may_retain = True
        self._closing = False
        self._acks: list[Row] = []
        self._topics: dict[str, str] = {}
        self._poll = select.poll()
        self._polled: tuple[int, int] | None = None
        self._sock: socket.socket | None = None
        self._client = self._build(will)

    # -- the link's steps

    def open(self) -> None:
        """Connect and send CONNECT; blocks for at most the connect timeout (and the resolver's). Faults end the session."""
        properties = None
        if self._protocol == MQTT5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own is not annotated
            properties.MaximumPacketSize = self._settings.max_packet_bytes
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = self._settings.inbox
        # paho pings after one keepalive of silence and gives up after two: three quarters of ours make it 1.5 times
        # ours.
        keepalive = max(1, self._settings.keepalive_s * 3 // 4)
        try:
            self._encrypt()
            start: Any = {"clean_start": False} if self._protocol == MQTT5 else {}
            self._client.connect(self._settings.host, self._settings.port, keepalive, properties=properties, **start)
        except (OSError, ValueError) as error:
            self.ended = refusal.failed(error, self._settings.where)

    def send(self, row: Row) -> None:
        """Publish one row; it is in the window until it is acknowledged. QoS 0 is forgotten at once."""
        topic = self._topics.get(row.stream)
        if topic is None:
            topic = self._topics[row.stream] = topics.out(self._settings.device, row.stream)
        if self._packet_limit is not None and packet_bytes(topic, row.payload) > self._packet_limit:
            self._too_large(row)
            return
        retain = row.retain and self._may_retain
        if row.qos == 0:
            self._client.publish(topic, row.payload, 0, retain, self._properties(row))
            return
        self.window.sending()
        info = self._client.publish(topic, row.payload, 1, retain, self._properties(row))
        early = self.window.sent(info.mid, row)
        if early is not None:
            self._acks.append(early)

    def _properties(self, row: Row) -> Properties | None:
        if self._protocol != MQTT5:
            return None
        correlation, traceparent = correlation_of(row.payload), traceparent_of(row.payload)
        if correlation is None and traceparent is None:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's own is not annotated
        if correlation is not None:
            properties.CorrelationData = correlation
        if traceparent is not None:
            properties.UserProperty = (NAME, traceparent)
        return properties

    def send_beside(self, topic: str, payload: bytes) -> None:
        """Publish what is none of the device's documents: retained, QoS 0, without an acknowledgement."""
        if self._packet_limit is not None and packet_bytes(topic, payload) > self._packet_limit:
            told = {"topic": topic, "bytes": len(payload), "limit": self._packet_limit}
            logs.event(log, "beside.refused", level=logging.WARNING, reason=refusal.PACKET_LIMIT, **told)
            return
        self._client.publish(topic, payload, 0, self._may_retain)

    @property
    def room(self) -> int:
        """How many rows may be sent now; none while the socket takes no more."""
        return 0 if not self.subscribed or self._client.want_write() else self.window.room

    def wait(self, wake_fd: int, timeout_s: float) -> None:
        """Sleep until the socket or ``wake_fd`` has something, then do what paho has to do."""
        sock = self._client.socket()
        if sock is None:
            self._lost("the connection was closed")
            return
        if self._readable(sock, wake_fd, timeout_s):
            self._client.loop_read()
        if self._client.want_write():
            self._client.loop_write()
        self._client.loop_misc()
        if self._acks:
            acks, self._acks = self._acks, []
            self._hooks.settled(acks)
        if self._client.socket() is None:
            self._lost("the connection was closed")

    def close(self, *, with_will: bool = False) -> None:
        """Say goodbye if the broker listens; ``with_will`` lets it publish the last will all the same. May be called twice."""
        self._closing = True
        if self._client.socket() is None:
            return
        if self.accepted and not with_will:
            self._client.disconnect()
            self._client.loop_write()
        elif self.accepted and self._protocol == MQTT5:
            self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=DISCONNECT_WITH_WILL))
            self._client.loop_write()
        # On 3.1.1 a socket that closes without DISCONNECT is what makes the broker publish the will.
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    # -- building

    def _build(self, will: bytes) -> Client:
        settings = self._settings
        protocol = mqtt.MQTTv5 if self._protocol == MQTT5 else mqtt.MQTTv311
        clean: Any = {} if self._protocol == MQTT5 else {"clean_session": False}
        client = Client(
            CallbackAPIVersion.VERSION2, settings.device, protocol=protocol, reconnect_on_failure=False, **clean
        )
        client.max_inflight_messages_set(0)  # unlimited: the window is ours
        client.connect_timeout = settings.connect_timeout_s
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        properties = None
        if self._protocol == MQTT5:
            properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]  # as above
            properties.WillDelayInterval = settings.will_delay_s
        client.will_set(topics.out(settings.device, topics.STATUS), will, 1, retain=True, properties=properties)
        client.on_socket_open = self._guarded(self._on_socket)
        client.on_connect = self._guarded(self._on_connect)
        client.on_subscribe = self._guarded(self._on_subscribe)
        client.on_publish = self._guarded(self._on_publish)
        client.on_message = self._guarded(self._on_message)
        client.on_disconnect = self._guarded(self._on_disconnect)
        return client

    def _encrypt(self) -> None:
        tls = self._settings.tls
        if tls is None:
            return
        context = ssl.create_default_context(cafile=tls.ca)
        context.sslsocket_class = _TlsSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert is not None:
            # A key behind a passphrase would ask for it on the terminal, and wait there for ever.
            context.load_cert_chain(tls.cert, tls.key, password="")
        self._client.tls_set_context(context)

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*values: Any) -> None:
            try:
                callback(*values)
            except Exception:  # an exception in a callback would tear paho's packet loop apart
                log.exception("session.broken")
                self._hooks.fault(callback.__name__)

        return call

    # -- paho's callbacks

    def _on_socket(self, _client: Any, _userdata: Any, sock: socket.socket) -> None:
        self._sock = sock
        # Small documents one after the other: Nagle's algorithm would hold each back for the last one's
        # acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._settings.keepalive_s * 1500)

    def _on_connect(
        self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Properties
    ) -> None:
        if reason.value >= FAILED:
            self.ended = refusal.answered(reason.value, str(reason), self._settings.where)
            return
        self.window = Window(width(self._protocol, getattr(properties, "ReceiveMaximum", None)))
        self._packet_limit = getattr(properties, "MaximumPacketSize", None)
        self._may_retain = getattr(properties, "RetainAvailable", 1) == 1
        self.accepted = True
        wanted = (*topics.subscriptions(self._settings.device, self._settings.groups), *self._settings.beside)
        client.subscribe([(topic, 1) for topic in wanted] if self._protocol == MQTT311 else _subscriptions(wanted))

    def _on_subscribe(
        self, _client: Any, _userdata: Any, _mid: int, reasons: Sequence[ReasonCode], _properties: Any
    ) -> None:
        failed = next((reason for reason in reasons if reason.value >= FAILED), None)
        if failed is not None:
            self.subscription = refusal.answered(failed.value, str(failed), self._settings.where, "subscribe at")
        self.subscribed = True

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        row = self.window.acknowledged(mid)
        if row is None:
            return
        if reason.value < FAILED:
            self._acks.append(row)
        elif reason.value in REFUSED_FOR_GOOD:
            self._hooks.refused(row, f"broker-{reason.value:02x}")
        elif reason.value == NOT_AUTHORIZED:
            self._hooks.denied(row)
        elif reason.value == refusal.TOO_LARGE:
            self._too_large(row)
        else:
            # Kept and sent again later: a quota is the operator's to mend, and nothing is lost by waiting.
            self.ended = refusal.answered(reason.value, str(reason), self._settings.where, f"publish {row.stream} at")

    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        response = getattr(properties, "ResponseTopic", None)
        stream = topics.is_own_stream(self._settings.device, response) if response else None
        correlation = getattr(properties, "CorrelationData", None)
        trace = _traceparent(getattr(properties, "UserProperty", ()))
        inbound = Inbound(message.topic, bytes(message.payload), bool(message.retain), stream, correlation, trace)
        self._hooks.inbound(inbound)

    def _on_disconnect(self, _client: Any, _userdata: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if self._closing or self.ended is not None:
            return
        if flags.is_disconnect_packet_from_server:
            if reason.value == refusal.TOO_LARGE and (largest := self.window.largest()) is not None:
                # It says not which. Without one less the next connection would end like this one.
                self._too_large(largest)
            self.ended = refusal.answered(reason.value, str(reason), self._settings.where, "stay connected to")
        else:
            self._lost(str(reason).lower())

    def _too_large(self, row: Row) -> None:
        self._hooks.oversize(
            row, packet_bytes(topics.out(self._settings.device, row.stream), row.payload), self._packet_limit
        )

    # -- waiting

    def _readable(self, sock: Any, wake_fd: int, timeout_s: float) -> bool:
        if self._client.has_unread or (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            return True
        wanted = select.POLLIN | (select.POLLOUT if self._client.want_write() else 0)
        descriptor = sock.fileno()
        if self._polled != (descriptor, wanted):
            self._poll.register(wake_fd, select.POLLIN)
            self._poll.register(descriptor, wanted)
            self._polled = (descriptor, wanted)
        ready = dict(self._poll.poll(timeout_s * 1000))
        if wake_fd in ready:
            os.eventfd_read(wake_fd)
        return bool(ready.get(descriptor, 0) & ~select.POLLOUT)

    def _lost(self, why: str) -> None:
        if self.ended is not None:
            return
        fault = getattr(self._sock, "fault", None)
        if fault is not None:
            self.ended = refusal.failed(fault, self._settings.where)
        else:
            self.ended = refusal.dropped(why, self._settings.where, answered_connect=self.accepted)


class _TlsSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails: paho forgets the socket then, and its descriptor with it.

    ``fault`` is what ended it later: with TLS 1.3 a broker refuses the client's certificate after the handshake, and
    paho says "lost" to everything.
    """

    fault: ssl.SSLError | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError):
            raise
        except ssl.SSLError as error:
            self.fault = error
            raise

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  (the standard library's signature)
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _traceparent(given: Iterable[tuple[str, str]]) -> str | None:
    found = next((value for name, value in given if name == NAME), None)
    trace = read_traceparent(found) if found is not None else None
    return None if trace is None else str(trace)


def _subscriptions(wanted: Sequence[str]) -> list[tuple[str, SubscribeOptions]]:
    # As published: a command that its sender had retained shall not pass for one that is sent once.
    return [(topic, SubscribeOptions(qos=1, retainAsPublished=True)) for topic in wanted]
