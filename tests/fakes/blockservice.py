"""Both ends of updates over MQTT on a real broker: a service that answers requests for blocks, and a device's link to it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edged.fleet.serving import answer
from edged.fleet.topics import inbound, out


class _Client:
    def __init__(self, port: int, topic: str, protocol: int) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTProtocolVersion(protocol))
        self._subscribed = threading.Event()
        self._client.on_connect = lambda *_: self._client.subscribe(topic)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _userdata, message: self.came(message)
        self._client.on_socket_open = _without_delay
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def came(self, message: mqtt.MQTTMessage) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _without_delay(_client: Any, _userdata: Any, sock: Any) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class BlockService(_Client):
    """Answers from ``folder``. ``sent`` counts the bytes of blocks."""

    def __init__(self, port: int, folder: Path, protocol: int = 5) -> None:
        self.folder, self.sent = folder, 0
        super().__init__(port, "edged/v1/d/+/out/get", protocol)

    def came(self, message: mqtt.MQTTMessage) -> None:
        block = answer(self.folder, message.payload)
        if block is not None:
            self.sent += len(block.content)
            self._client.publish(inbound(message.topic.split("/")[3], "file"), block.packed())


class DeviceLink(_Client):
    """Publishes a device's requests and hands on what comes on ``in/file``."""

    def __init__(self, port: int, device: str, take: Callable[[bytes], None], protocol: int = 5) -> None:
        self._get, self._take = out(device, "get"), take
        super().__init__(port, inbound(device, "file"), protocol)

    def ask(self, document: dict[str, Any]) -> None:
        self._client.publish(self._get, json.dumps(document))

    def came(self, message: mqtt.MQTTMessage) -> None:
        self._take(message.payload)
