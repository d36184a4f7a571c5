"""The fleet's hand: sends commands over MQTT 5 and keeps the answers, with their properties."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from uuid import uuid4

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fakes.daemon import DEVICE
from fakes.waiting import LONGEST_S, until

TOPIC = f"edged/v1/d/{DEVICE}/in/command"
OUT = f"edged/v1/d/{DEVICE}/out/"
SOON_S = 600


def rfc3339(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


class Commander:
    """``heard`` holds (stream, document, correlation data) of every answer."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, dict[str, Any], bytes | None]] = []
        subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.max_queued_messages_set(0)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{OUT}reply/#", 1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = lambda _c, _u, message: self.heard.append(
            (
                message.topic.removeprefix(OUT),
                json.loads(message.payload),
                getattr(message.properties, "CorrelationData", None),
            )
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until(subscribed.is_set, "subscribed")

    def publish(self, payload: bytes, *, retain: bool = False, **properties: Any) -> None:
        """Send bytes as a command."""
        wanted = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(wanted, name, value)
        self.client.publish(TOPIC, payload, 1, retain, wanted).wait_for_publish(LONGEST_S)

    def send(self, verb: str, *, id_: str = "", valid_s: float = SOON_S, retain: bool = False, **args: str) -> str:
        """Send a command and give its id."""
        id_ = id_ or str(uuid4())
        body = {"id": id_, "verb": verb, "args": args, "expires_at": rfc3339(time.time() + valid_s)}
        self.publish(json.dumps(body).encode(), retain=retain)
        return id_

    def ask(self, verb: str, within_s: float = LONGEST_S, **more: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        before = len(self.heard)
        id_ = self.send(verb, **more)
        until(lambda: any(body["id"] == id_ for _, body, _ in self.heard[before:]), f"an answer to {verb}", within_s)
        return next(body for _, body, _ in self.heard[before:] if body["id"] == id_)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
