"""The demo's own client: what any program in the plant would see, over its own connection to the broker."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edged.domain.errors import DeviceError

LAST_EVENTS = 8
RECENT = 30
"""Results from which a rate is told."""


@dataclass
class Seen:
    """What came of one pipeline. ``age_ms`` is capture to result; arrival times are monotonic seconds."""

    results: int = 0
    last: dict[str, Any] = field(default_factory=dict)
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def rate_hz(self) -> float:
        """Results a second, over the last ones."""
        if len(self.arrivals) < 2:  # noqa: PLR2004 - a rate needs two points
            return 0.0
        return (len(self.arrivals) - 1) / max(1e-6, self.arrivals[-1] - self.arrivals[0])


class Watcher:
    """Subscribes to everything that the device writes; safe to read from another thread."""

    def __init__(self, port: int, device: str, now_s: Any) -> None:
        self.pipelines: dict[str, Seen] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=LAST_EVENTS)
        self.event_count: dict[str, int] = {}
        self.telemetry: dict[str, Any] = {}
        self.health: dict[str, Any] = {}
        self.news: deque[dict[str, Any]] = deque(maxlen=1000)
        self._now_s = now_s
        self._prefix = f"edged/v1/d/{device}/out/"
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="edged-demo", protocol=mqtt.MQTTv311)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not self._subscribed.wait(10):
            message = f"cannot watch the demo's broker on port {port}: it gave no answer in 10 s, expected one"
            raise DeviceError(message)

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{self._prefix}#", qos=1)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        stream = message.topic.removeprefix(self._prefix)
        document = json.loads(message.payload)
        kind, _, pipeline = stream.partition("/")
        if kind == "result":
            seen = self.pipelines.get(pipeline, Seen())
            seen.results += 1
            seen.last = document
            seen.arrivals.append(self._now_s())
            # Last: who reads meanwhile finds a whole one.
            self.pipelines[pipeline] = seen
        elif kind == "event":
            self.event_count[pipeline] = self.event_count.get(pipeline, 0) + (document["phase"] == "start")
            self.events.append(document)
            self.news.append(document)
        elif kind == "telemetry":
            self.telemetry = document
        elif kind == "health":
            self.health = document
