"""A conversation with a broker on a connection of its own, in the caller's thread, that leaves the daemon's session as it is.

Some brokers take the user's name for the client id (mosquitto's use_username_as_clientid), whatever id is given: then this is the
daemon's own session. So nothing that comes in is acknowledged, which leaves it to the daemon; a session that was there before is neither
cleared nor shortened; and what was subscribed beyond the daemon's own topics is taken back.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edged.fleet import refusal, topics
from edged.fleet.refusal import Refusal
from edged.fleet.session import FAILED, MQTT5, MQTT311
from edged.fleet.settings import SESSION_EXPIRY_S, LinkSettings

CONNACK_S = 3.0
STEP_S = 0.05
KEEPALIVE_S = 30


@dataclass(frozen=True, slots=True)
class Answered:
    """What the broker said to a packet: ``code`` is its reason, None when it said nothing in time."""

    code: int | None
    words: str
    took_s: float

    @property
    def is_refused(self) -> bool:
        """Whether it said no."""
        return self.code is not None and self.code >= FAILED


@dataclass(slots=True)
class _Heard:
    connack: tuple[int, str] | None = None
    session_present: bool = False
    packet_limit: int | None = None
    acks: dict[int, tuple[int, str]] = field(default_factory=dict)
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    gone: str = ""


class Conversation:
    """Opened once, closed once. ``refused`` says why it did not come about."""

    def __init__(self, settings: LinkSettings, protocol: int = MQTT5) -> None:
        self.settings, self.protocol = settings, protocol
        self.client_id = f"{settings.device[:50]}-doctor-{secrets.token_hex(3)}"
        self._heard = _Heard()
        self._further: list[str] = []
        self._client = self._build()

    @property
    def packet_limit(self) -> int | None:
        """The largest packet that the broker says it takes; None: it says nothing."""
        return self._heard.packet_limit

    @property
    def is_lost(self) -> bool:
        """Whether the broker hung up."""
        return bool(self._heard.gone) or self._client.socket() is None

    def open(self) -> Refusal | None:
        """Connect and log in; gives why not, None when it is in. Blocks for some seconds at most."""
        where = self.settings.where
        try:
            self._client.connect(self.settings.host, self.settings.port, KEEPALIVE_S, **self._start())
        except (OSError, ValueError) as error:
            return refusal.failed(error, where)
        self._until(lambda: self._heard.connack is not None, CONNACK_S)
        if self._heard.connack is None:
            gone = self._heard.gone
            return refusal.dropped(gone, where, answered_connect=False) if gone else refusal.silent(where, CONNACK_S)
        code, words = self._heard.connack
        return refusal.answered(code, words, where) if code >= FAILED else None

    def subscribe(self, topic: str, wait_s: float) -> Answered:
        """Subscribe a topic; one that is not the device's own is taken back at the end."""
        is_own = topic in topics.subscriptions(self.settings.device, self.settings.groups)
        if not is_own:
            self._further.append(topic)
        # At QoS 0 nothing waits behind what is left unacknowledged.
        return self._asked(lambda: self._client.subscribe(topic, 1 if is_own else 0)[1], wait_s)

    def publish(self, topic: str, payload: bytes, wait_s: float) -> Answered:
        """Publish at QoS 1, not retained."""
        return self._asked(lambda: self._client.publish(topic, payload, 1).mid, wait_s)

    def hears(self, wanted: Callable[[str, bytes], bool], wait_s: float) -> str | None:
        """Wait for a message; gives its topic, None when none came."""
        found: list[str] = []

        def has_come() -> bool:
            found[:] = [topic for topic, payload in self._heard.messages if wanted(topic, payload)]
            return bool(found)

        self._until(has_come, wait_s)
        return found[0] if found else None

    def close(self) -> None:
        """Go, and leave nothing behind. May be called twice."""
        if self._client.socket() is None:
            return
        if self._further:
            self._asked(lambda: self._client.unsubscribe(self._further)[1], 1.0)
        properties = None
        if self.protocol == MQTT5 and not self._heard.session_present:
            # Nobody's session but this one: it ends here.
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho's own is not annotated
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        self._client.loop_write()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    # -- paho

    def _build(self) -> mqtt.Client:
        settings = self.settings
        is_5 = self.protocol == MQTT5
        clean: dict[str, Any] = {} if is_5 else {"clean_session": True}
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            self.client_id,
            protocol=mqtt.MQTTv5 if is_5 else mqtt.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
            **clean,
        )
        client.connect_timeout = settings.connect_timeout_s
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        if settings.tls is not None:
            client.tls_set_context(tls_context(settings))
        client.on_socket_open = _promptly
        client.on_connect = self._on_connect
        client.on_subscribe = lambda _c, _u, mid, reasons, _p: self._acked(mid, reasons)
        client.on_unsubscribe = lambda _c, _u, mid, reasons, _p: self._acked(mid, reasons)
        client.on_publish = lambda _c, _u, mid, reason, _p: self._acked(mid, [reason])
        client.on_message = lambda _c, _u, one: self._heard.messages.append((one.topic, bytes(one.payload)))
        client.on_disconnect = self._on_disconnect
        return client

    def _start(self) -> dict[str, Any]:
        if self.protocol != MQTT5:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # as above
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.MaximumPacketSize = self.settings.max_packet_bytes
        return {"clean_start": False, "properties": properties}

    def _on_connect(self, _client: Any, _user: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        self._heard.session_present = bool(flags.session_present)
        self._heard.packet_limit = getattr(properties, "MaximumPacketSize", None)
        self._heard.connack = (reason.value, str(reason))

    def _on_disconnect(self, _client: Any, _user: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._heard.gone = str(reason).lower()

    def _acked(self, mid: int, reasons: Iterable[ReasonCode]) -> None:
        worst = max(reasons, key=lambda one: one.value, default=None)
        self._heard.acks[mid] = (worst.value, str(worst)) if worst is not None else (0, "Success")

    def _asked(self, send: Callable[[], int | None], wait_s: float) -> Answered:
        began_s = time.monotonic()
        mid = send()
        self._until(lambda: mid in self._heard.acks, wait_s)
        took_s = time.monotonic() - began_s
        code, words = self._heard.acks.get(mid or 0, (None, self._heard.gone or f"no answer within {wait_s:g} s"))
        return Answered(code, words, took_s)

    def _until(self, fact: Callable[[], bool], wait_s: float) -> None:
        until_s = time.monotonic() + wait_s
        while not fact() and not self._heard.gone and time.monotonic() < until_s:
            self._client.loop(STEP_S)


def _promptly(_client: Any, _user: Any, sock: Any) -> None:
    """Send small packets at once, as the daemon's link does: Nagle's algorithm would make 40 ms of each round trip."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def begin(settings: LinkSettings) -> tuple[Conversation, Refusal | None]:
    """Log in with MQTT 5, or with 3.1.1 where the broker does not speak that."""
    spoken = Conversation(settings, MQTT5)
    refused = spoken.open()
    if refused is not None and refused.other_protocol:
        spoken.close()
        spoken = Conversation(settings, MQTT311)
        refused = spoken.open()
    return spoken, refused


def tls_context(settings: LinkSettings) -> ssl.SSLContext:
    """Give the context that the daemon's link uses. Raises OSError (ssl.SSLError among them) for files that cannot be used."""
    tls = settings.tls
    context = ssl.create_default_context(cafile=tls.ca if tls is not None else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls is not None and tls.cert is not None:
        # A key behind a passphrase would ask for it on the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    return context
