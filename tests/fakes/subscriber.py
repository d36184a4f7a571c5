"""A client of the fleet: a connection of its own that keeps every document it hears."""

from __future__ import annotations

import json
import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from fakes.waiting import until

Document = dict[str, Any]


class Subscriber:
    """Hears everything from when it was built; ``topic`` says of what, ``login`` is a user name and a password."""

    def __init__(self, port: int, topic: str = "edged/#", login: tuple[str, str] | None = None) -> None:
        self.heard: list[tuple[str, Document, bool]] = []
        self._subscribed = threading.Event()
        self._topic = topic
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = lambda _c, _u, message: self.heard.append(
            (message.topic, json.loads(message.payload), message.retain)
        )
        if login is not None:
            self.client.username_pw_set(*login)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until(self._subscribed.is_set, "subscribed")

    def of(self, stream: str) -> list[Document]:
        """Give the documents of a stream, such as ``result/a``, in the order in which they came."""
        return [body for topic, body, _ in list(self.heard) if topic.endswith(f"/out/{stream}")]

    def last(self, stream: str) -> Document:
        """Give the newest document of a stream; empty when there is none yet."""
        return next((body for topic, body, _ in reversed(list(self.heard)) if topic.endswith(f"/out/{stream}")), {})

    def codes(self) -> set[str]:
        """Give the codes of the newest health's reasons."""
        return {reason["code"] for reason in self.last("health").get("reasons", ())}

    def reason(self, component: str) -> str:
        """Give what the newest health says of a component: the messages, one behind the other."""
        reasons = self.last("health").get("reasons", ())
        return " | ".join(reason["message"] for reason in reasons if reason["component"] == component)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def numbers(documents: list[Document]) -> list[int]:
    """Give their sequence numbers."""
    return [document["seq"] for document in documents]
