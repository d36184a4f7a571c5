"""A connection of the fleet's own to the broker: what arrives goes to one function, and what is published is known to have arrived."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgectl.fleet.settings import Settings
from edged.domain.errors import DeviceError
from edged.fleet.topics import ROOT

PATIENCE_S = 10.0
ECHO_S = 5.0
"""A broker of MQTT 3.1.1 does not say that somebody may not write: nothing comes then."""
UNSUPPORTED = 0x84
"""A broker's word for a version of MQTT that it does not speak: NATS's gateway has 3.1.1."""
RETRY_MOST_S = 15
"""Somebody looks on: paho would come to wait two minutes for a broker that was away for some."""
REFUSED = 0x80
"""Reason codes from here on are failures (MQTT 5, section 2.4)."""

Heard = Callable[[str, bytes], None]
"""Given the topic and the payload; called on the connection's own thread."""


@dataclass(frozen=True, slots=True)
class _Ack:
    event: threading.Event
    codes: list[int]


@final
class Wire:
    """Connected for as long as the ``with`` lasts; comes back by itself, and subscribes again then."""

    def __init__(self, settings: Settings, filters: Sequence[str], heard: Heard, client_id: str = "") -> None:
        """Nothing happens before it is entered. ``client_id``: the user's name when there is none."""
        self._settings, self._filters, self._heard = settings, tuple(filters), heard
        self._name = client_id or settings.mqtt.username or ""
        self._subscribed, self._refusal, self._is_older = threading.Event(), "", False
        self._echo, self._echoed = f"{ROOT}/f/_echo/{secrets.token_hex(8)}", threading.Event()
        self._acks: dict[int, _Ack] = {}
        self._lock = threading.Lock()
        self._heard_s = time.monotonic()
        self._client = self._made(MQTTProtocolVersion.MQTTv5)

    def __enter__(self) -> Wire:
        """Connect. Raises DeviceError when the broker is not there, refuses the user, or one of the subscriptions."""
        self._connect()
        if self._is_older:
            self.__exit__(None, None, None)
            self._client, self._refusal = self._made(MQTTProtocolVersion.MQTTv311), ""
            self._subscribed.clear()
            self._connect()
        if not self._subscribed.is_set() or self._refusal:
            self.__exit__(None, None, None)
            mqtt_settings = self._settings.mqtt
            where = f"{mqtt_settings.host}:{mqtt_settings.port}"
            if not self._refusal:
                message = f"cannot work with {where}: no answer in {PATIENCE_S:.0f} s, expected an MQTT broker's"
                raise DeviceError(message, remedy="look at host, port and tls of the broker")
            message = f"cannot work with the broker at {where}: {self._refusal}, expected a user of the fleet's"
            raise DeviceError(message, remedy="edgectl fleet broker init makes such users")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        """Publish, and wait for the broker's word. Raises DeviceError when it refuses, or says nothing."""
        if qos == 0:
            self._client.publish(topic, payload, 0, retain)
            return
        with self._lock:
            number = self._client.publish(topic, payload, 1, retain).mid
            ack = self._acks.setdefault(number, _Ack(threading.Event(), []))
        is_told = ack.event.wait(PATIENCE_S)
        with self._lock:
            self._acks.pop(number, None)
        if not is_told or ack.codes[0] >= REFUSED:
            why = f"code {ack.codes[0]:#x}" if is_told else f"no answer in {PATIENCE_S:.0f} s"
            message = f"cannot publish on {topic}: {why}, expected the broker to take it"
            raise DeviceError(message, remedy="its user needs the role that `edgectl fleet broker init` writes")

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there now."""
        return self._client.is_connected()

    def settle(self, quiet_s: float = 0.3, most_s: float = PATIENCE_S) -> None:
        """Wait until what the broker retains has come: a word of our own behind it, and nothing new for a while.

        A line that rests for a moment in the middle would else pass for the end, and a rollout for one of the few boxes that were heard of.
        """
        until_s = time.monotonic() + most_s
        self._echoed.clear()
        with suppress(DeviceError):  # whoever may only read has the quiet alone
            self.publish(self._echo, b"")
            self._echoed.wait(ECHO_S)
        while (now_s := time.monotonic()) < until_s and now_s - self._heard_s < quiet_s:
            time.sleep(quiet_s / 5)

    def _connect(self) -> None:
        """Connect, and wait for what becomes of it."""
        mqtt_settings = self._settings.mqtt
        where = f"{mqtt_settings.host}:{mqtt_settings.port}"
        if mqtt_settings.username is not None:
            self._client.username_pw_set(mqtt_settings.username, self._settings.password())
        try:
            if mqtt_settings.tls is not None:
                self._client.tls_set_context(ssl.create_default_context(cafile=mqtt_settings.tls.ca))
            self._client.connect(mqtt_settings.host, mqtt_settings.port)
        except OSError as error:
            message = f"cannot reach the broker at {where}: {error.strerror or error}, expected one that listens"
            raise DeviceError(message, remedy="look at host, port and tls of the broker") from error
        self._client.loop_start()
        self._subscribed.wait(PATIENCE_S)

    def _made(self, protocol: MQTTProtocolVersion) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, self._name, protocol=protocol)
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_message, client.on_publish = self._on_message, self._on_publish
        client.on_socket_open = _at_once
        client.reconnect_delay_set(1, RETRY_MOST_S)
        return client

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refusal, self._is_older = str(reason), reason.value == UNSUPPORTED
            self._subscribed.set()
        elif self._filters:
            client.subscribe([(one, 1) for one in (*self._filters, self._echo)])
        else:
            self._subscribed.set()

    def _on_subscribe(self, _client: mqtt.Client, _userdata: Any, _mid: int, codes: Any, _properties: Any) -> None:
        refused = [topic for topic, code in zip(self._filters, codes, strict=False) if code.value >= REFUSED]
        if refused:
            self._refusal = f"it does not let this user read {', '.join(refused)}"
        self._heard_s = time.monotonic()
        self._subscribed.set()

    def _on_message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._heard_s = time.monotonic()
        if message.topic == self._echo:
            self._echoed.set()
        else:
            self._heard(message.topic, bytes(message.payload))

    def _on_publish(self, _client: mqtt.Client, _userdata: Any, mid: int, code: Any, _properties: Any) -> None:
        with self._lock:
            ack = self._acks.setdefault(mid, _Ack(threading.Event(), []))
        ack.codes.append(code.value)
        ack.event.set()


def _at_once(_client: mqtt.Client, _userdata: Any, sock: Any) -> None:
    # 88 ms a block otherwise: Nagle's algorithm waits for the acknowledgement that the other side delays.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
