"""The node on a connection of its own, through paho: its death has to be that connection's will."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edged.domain.errors import DeviceError
from edged.domain.ports import Clock
from edged.sinks.box import SinkBox
from edged_sparkplug.node import Message, Node
from edged_sparkplug.options import Options, read_options

NOTE = "bdseq"
"""Holds the number of the last birth: a host tells an old death from the one that belongs to the last birth by it."""
KEEPALIVE_S = 30
RETRY_S, RETRY_MOST_S = 1, 60
GOODBYE_S = 0.8
_NS_PER_MS = 1_000_000

_LOG = logging.getLogger("edged.sparkplug")


def open_sink(*, options: Mapping[str, Any], clock: Clock, box: SinkBox) -> SparkplugSink:
    """Begin to connect; the broker may be away. Raises ConfigError for options, DeviceError for files that cannot be used."""
    return SparkplugSink(read_options(options, box), clock, box)


class SparkplugSink:
    """Implements edged.domain.ports.DocumentSink."""

    def __init__(self, options: Options, clock: Clock, box: SinkBox) -> None:
        self._clock, self._note = clock, box.folder / NOTE
        self._where = f"{options.host}:{options.port}"
        self._lock = threading.Lock()
        self._node = Node(options.group, options.node or box.device, box.pipelines, _noted(self._note))
        self._why, self._is_online = "is not connected yet", False
        self._client = self._build(options)
        self._client.connect_async(options.host or "", options.port or 0, KEEPALIVE_S)
        self._client.loop_start()

    def __repr__(self) -> str:
        return f"<SparkplugSink at {self._where}: {'online' if self._is_online else self._why}>"

    def take(self, stream: str, document: Mapping[str, Any]) -> None:
        """Publish what a document changes; while the broker is away it is only remembered for the births."""
        with self._lock:
            self._publish(self._node.take(stream, document, self._now_ms()))

    def trouble(self) -> str:
        """Say why nothing is published."""
        return "" if self._is_online else f"Sparkplug's broker at {self._where}: {self._why}"

    def close(self) -> None:
        """Say that the node goes, and go."""
        with self._lock:
            death = self._node.death(self._now_ms())
            self._node.lost()
        try:
            if self._is_online:
                self._client.publish(death.topic, death.payload, death.qos).wait_for_publish(GOODBYE_S)
        except (RuntimeError, ValueError) as error:
            # The connection went at this moment, and the will tells it.
            _LOG.debug("sparkplug.unsaid: %s", error)
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def _build(self, options: Options) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, options.client_id, clean_session=True)
        if options.username is not None:
            client.username_pw_set(options.username, _secret(options.password_file))
        if options.tls is not None:
            client.tls_set_context(_context(options))
        client.reconnect_delay_set(RETRY_S, RETRY_MOST_S)
        client.on_pre_connect = self._guarded(self._on_pre_connect)
        client.on_connect = self._guarded(self._on_connect)
        client.on_subscribe = self._guarded(self._on_subscribe)
        client.on_message = self._guarded(self._on_message)
        client.on_disconnect = self._guarded(self._on_disconnect)
        client.on_connect_fail = self._guarded(lambda *_: self._off("nobody answers there"))
        return client

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*values: Any) -> None:
            try:
                callback(*values)
            except Exception as error:  # noqa: BLE001 - an exception would end paho's thread unseen
                _LOG.exception("sparkplug.broken")
                self._off(f"{type(error).__name__}: {error}")

        return call

    # -- on paho's thread

    def _on_pre_connect(self, client: mqtt.Client, _userdata: Any) -> None:
        """Give each connection a will of its own, with the number that its birth will have."""
        with self._lock:
            will = self._node.connecting(self._now_ms())
            number = self._node.bd_seq
        _keep(self._note, number)
        client.will_set(will.topic, will.payload, will.qos, retain=False)

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._off(str(reason).lower())
            return
        # Births come behind the subscription: whoever hears them may ask for them anew at once.
        client.subscribe(self._node.command_topic, 1)

    def _on_subscribe(self, _client: mqtt.Client, _userdata: Any, _mid: int, codes: Any, _properties: Any) -> None:
        refused = [code for code in codes if code.is_failure]
        with self._lock:
            self._publish(self._node.births(self._now_ms()))
        self._is_online = True
        if refused:
            self._off(f"does not let this user read {self._node.command_topic}")

    def _on_message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            if self._node.wants_births(message.topic, bytes(message.payload)):
                self._publish(self._node.births(self._now_ms()))

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._lock:
            self._node.lost()
        self._off(str(reason).lower())

    def _off(self, why: str) -> None:
        self._why, self._is_online = why, False

    def _publish(self, messages: Iterable[Message]) -> None:
        for one in messages:
            self._client.publish(one.topic, one.payload, one.qos)

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // _NS_PER_MS


def _context(options: Options) -> ssl.SSLContext:
    assert options.tls is not None  # noqa: S101 - asked for where there is one
    try:
        context = ssl.create_default_context(cafile=options.tls.ca)
        if options.tls.cert is not None:
            # A key behind a passphrase would ask for it on the terminal, and wait there for ever.
            context.load_cert_chain(options.tls.cert, options.tls.key, password="")
    except OSError as error:
        message = f"cannot use the files of tls: {error}, expected certificates and a key in PEM"
        raise DeviceError(message) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _secret(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}, expected the password of Sparkplug's user"
        raise DeviceError(message) from error


def _noted(note: Path) -> int:
    try:
        return int(note.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return -1


def _keep(note: Path, number: int) -> None:
    """Write it down; a disk that takes nothing costs the order of deaths and births after a restart, and nothing else."""
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(number), encoding="ascii")
    except OSError as error:
        _LOG.debug("sparkplug.unkept: %s", error)
