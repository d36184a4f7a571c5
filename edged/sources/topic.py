"""Readings that others publish over MQTT, through paho: a JSON document a sample, or a bare number."""

from __future__ import annotations

import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged.domain.errors import ConfigError, DeviceError, EdgedError, SourceLostError
from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock
from edged.fleet import refusal
from edged.fleet.settings import LinkSettings
from edged.sources.closing import Closing
from edged.sources.dating import Dater, dating_of
from edged.sources.layout import Column, Decode, Wanted, document_decoder

NS_PER_S = 1_000_000_000
FAILED = 0x80
"""Reason codes from here on are failures (MQTT 5, 2.4)."""

MAX_PAYLOAD_BYTES = 131_072
"""As large as edged's own documents may be. An MQTT 5 broker withholds what is larger, any other's is left out."""

WAIT_S = 0.2
"""How soon a closed source is noticed."""

OWN_USER = (
    "where a user may connect once, give this source one: edgectl fleet broker source, and password_file in its section"
)

HELD = 1024
"""Documents that may wait within one read: a burst beyond that loses its oldest."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What is asked of the broker. ``retained`` takes the value that the broker kept, of whatever age, as a sample."""

    topic: str
    qos: int = 0
    retained: bool = False


def open_source(
    *,
    broker: LinkSettings,
    subscription: Subscription,
    clock: Clock,
    fields: tuple[Column, ...],
    wanted: Wanted,
    client_id: str,
    rate_hz: float | None = None,
    shares_user: bool = False,
) -> TopicSource:
    """Connect and subscribe; the connection is this source's own.

    Args:
        broker: the one that edged itself reports to; ``device`` and what belongs to sessions count for nothing here.
        subscription: topic, quality of service, retained values.
        clock: dates the documents.
        fields: paths in the document, each with its scale.
        wanted: which of them are channels, and which is the sensor's own time.
        client_id: must be another than that of any other client.
        rate_hz: documents a second, for the dating of documents without a time.
        shares_user: the user is edged's own. Some brokers let a user connect once: the two push each other out for ever there, and
            the broker (mosquitto 2.0) says nothing of it.

    Raises:
        ConfigError: a path or a topic that cannot be, or one that the broker keeps from a user that is edged's own.
        DeviceError: no connection, or the broker refuses.
    """
    decode = document_decoder(fields, wanted)
    has_time = wanted.time is not None
    dater = Dater(dating_of(rate_hz, has_time=has_time), has_time=has_time)
    if not _is_filter(subscription.topic):
        message = f"cannot subscribe to {subscription.topic!r}, expected a topic such as plant/+/temperature or plant/#"
        raise ConfigError(message)
    connection = _connected(broker, subscription, client_id, clock)
    if connection.ended is not None:
        # Each further try might push edged's own connection out.
        raise _error(connection, ConfigError if shares_user and connection.is_forbidden else DeviceError, shares_user)
    return TopicSource(connection, clock, decode, dater, shares_user=shares_user)


def _connected(broker: LinkSettings, subscription: Subscription, client_id: str, clock: Clock) -> _Connection:
    """Connect with the wanted version of MQTT, or with the other one when the broker does not know it."""
    other = mqtt.MQTTv311 if broker.protocol == mqtt.MQTTv5 else mqtt.MQTTv5
    for protocol in (broker.protocol, other):
        connection = _Connection(broker, subscription, client_id, protocol)
        deadline_ns = clock.monotonic_ns() + int(broker.connect_timeout_s * NS_PER_S)
        connection.open()
        while connection.ended is None and not connection.subscribed:
            connection.turn(WAIT_S)
            if clock.monotonic_ns() > deadline_ns:
                connection.ended = refusal.silent(broker.where, broker.connect_timeout_s)
        if connection.ended is None:
            return connection
        connection.close()
        if not connection.ended.other_protocol:
            break
    return connection


class TopicSource:
    """Blocks of the documents that came together.

    ``drops`` counts ``malformed`` documents, ``retained`` ones, those that are ``too-large``, and the oldest of a burst
    as ``overrun``.
    """

    def __init__(
        self, connection: _Connection, clock: Clock, decode: Decode, dater: Dater, *, shares_user: bool = False
    ) -> None:
        self.drops = dater.drops
        self._connection = connection
        self._clock = clock
        self._decode = decode
        self._dater = dater
        self._shares_user = shares_user
        self._closing = Closing(connection.close)

    def read(self) -> Samples | None:
        """Wait for the next documents; None after ``close``.

        Raises:
            SourceLostError: the connection is gone.
        """
        with self._closing:
            while not self._closing.is_asked:
                self._connection.turn(WAIT_S)
                if self._connection.ended is not None and not self._closing.is_asked:
                    raise _error(self._connection, SourceLostError, self._shares_user)
                if (samples := self._samples()) is not None:
                    return samples
            return None

    def close(self) -> None:
        """Say goodbye: at once, or as soon as a read in another thread comes out of the socket."""
        self._closing.ask()

    def __repr__(self) -> str:
        """Say what it listens to."""
        return f"<TopicSource {self._connection!r}: {self._closing!r}, {self._dater.samples} samples, drops {dict(self.drops)}>"

    def _samples(self) -> Samples | None:
        now_ns = self._clock.monotonic_ns()
        for payload, drop in self._connection.taken():
            rows = None if drop else self._decode(payload)
            if rows is None:
                self.drops[drop or "malformed"] += 1
            else:
                self._dater.add(rows)
        dated = self._dater.dated(now_ns / NS_PER_S)
        if dated is None:
            return None
        times_s, values = dated
        stamp = Stamp(self._dater.samples - 1, now_ns, self._clock.wall_ns(), float(times_s[-1]))
        return Samples(values.astype(np.float32), times_s, stamp)


class _Connection:
    """One MQTT connection, driven by the reader's thread: paho's own thread would die of an exception unseen.

    ``ended`` says why it is over, None while it lasts.
    """

    def __init__(self, broker: LinkSettings, subscription: Subscription, client_id: str, protocol: int) -> None:
        self.ended: refusal.Refusal | None = None
        self.subscribed = self.is_forbidden = False
        self._broker = broker
        self._subscription = subscription
        self._is_mqtt5 = protocol == mqtt.MQTTv5
        self._held: deque[tuple[bytes, str]] = deque()
        self._overrun = 0
        self._client = self._build(client_id)

    def open(self) -> None:
        """Connect; the broker's answer comes with a later turn."""
        properties = None
        if self._is_mqtt5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own is not annotated
            # The topic and the properties come on top of the payload.
            properties.MaximumPacketSize = MAX_PAYLOAD_BYTES + 0xFFFF
        try:
            self._encrypt()
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s, properties=properties)
        except (OSError, ValueError) as error:
            self.ended = refusal.failed(error, self._broker.where)

    def turn(self, wait_s: float) -> None:
        """Wait for what the broker sends, and take it in."""
        code = self._client.loop(wait_s)
        if code != mqtt.MQTT_ERR_SUCCESS:
            self._end(refusal.dropped(mqtt.error_string(code), self._broker.where, answered_connect=self.subscribed))

    def taken(self) -> list[tuple[bytes, str]]:
        """Give what came since the last time: payload, and why it is no sample, if so."""
        taken = [*self._held, *[(b"", "overrun")] * self._overrun]
        self._held.clear()
        self._overrun = 0
        return taken

    def close(self) -> None:
        """Say goodbye. May be called twice."""
        if self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop(0)  # paho closes the socket when the farewell is sent
        if (sock := self._client.socket()) is not None:
            sock.close()

    def __repr__(self) -> str:
        return f"{self._subscription.topic} at {self._broker.where}"

    def _build(self, client_id: str) -> mqtt.Client:
        protocol = mqtt.MQTTv5 if self._is_mqtt5 else mqtt.MQTTv311
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, reconnect_on_failure=False)
        client.connect_timeout = self._broker.connect_timeout_s
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _encrypt(self) -> None:
        if (tls := self._broker.tls) is None:
            return
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert is not None:
            # A key behind a passphrase would ask for it on the terminal, and wait there for ever.
            context.load_cert_chain(tls.cert, tls.key, password="")
        self._client.tls_set_context(context)

    def _end(self, why: refusal.Refusal) -> None:
        """Keep the first reason: what follows is its consequence."""
        if self.ended is None:
            self.ended = why

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        if reason.value >= FAILED:
            self._end(refusal.answered(reason.value, str(reason), self._broker.where))
            return
        asked = self._subscription
        if self._is_mqtt5:
            handling = (
                SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if asked.retained else SubscribeOptions.RETAIN_DO_NOT_SEND
            )
            client.subscribe(asked.topic, options=SubscribeOptions(qos=asked.qos, retainHandling=handling))
        else:
            client.subscribe(asked.topic, asked.qos)

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: Any, _more: Any) -> None:
        failed = next((reason for reason in reasons if reason.value >= FAILED), None)
        if failed is None:
            self.subscribed = True
        else:
            self.is_forbidden = True
            what = f"subscribe to {self._subscription.topic} at"
            self._end(refusal.answered(failed.value, str(failed), self._broker.where, what))

    def _on_message(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        drop = ""
        if message.retain and not self._subscription.retained:
            drop = "retained"  # MQTT 3.1.1 sends it all the same
        elif len(message.payload) > MAX_PAYLOAD_BYTES:
            drop = "too-large"
        if len(self._held) == HELD:
            self._held.popleft()
            self._overrun += 1
        self._held.append((b"" if drop else bytes(message.payload), drop))

    def _on_disconnect(self, _client: Any, _userdata: Any, flags: Any, reason: ReasonCode, _more: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end(refusal.answered(reason.value, str(reason), self._broker.where, "stay connected to"))
        else:
            self._end(refusal.dropped(str(reason).lower(), self._broker.where, answered_connect=self.subscribed))


def _error(connection: _Connection, kind: type[EdgedError], shares_user: bool) -> EdgedError:  # noqa: FBT001 - it is all that varies
    assert connection.ended is not None  # noqa: S101 - asked for when it is over
    trouble = connection.ended.trouble
    remedy = f"{trouble.remedy}; {OWN_USER}" if shares_user else trouble.remedy
    return kind(trouble.message, remedy=remedy, code=trouble.code)


def _is_filter(topic: str) -> bool:
    """Whether this is a topic or a filter (MQTT 5, 4.7)."""
    levels = topic.split("/")
    whole = all(level in {"#", "+"} or not set("#+\0") & set(level) for level in levels)
    return bool(topic) and whole and "#" not in levels[:-1]
