"""A host application of Sparkplug B that reads everything with pysparkplug, an implementation of its own, and keeps its rules."""

from __future__ import annotations

from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from fakes.waiting import until

Value = Any
KINDS = {
    "NBIRTH": "NBirth",
    "DBIRTH": "DBirth",
    "NDATA": "NData",
    "DDATA": "DData",
    "NDEATH": "NDeath",
    "DDEATH": "DDeath",
}
"""pysparkplug's class of each message."""


class Host:
    """Follows one edge node. ``said`` is each message's kind, device and metrics by name, in order; ``faults`` what breaks a rule."""

    def __init__(self, port: int, group: str = "edged", node: str = "press-07", password: str | None = None) -> None:
        self.spb = pytest.importorskip("pysparkplug", reason="needs pysparkplug (extra `dev`)")
        self.said: list[tuple[str, str, dict[str, Value]]] = []
        self.faults: list[str] = []
        self.values: dict[str, dict[str, Value]] = {}
        self.bd_seq: int | None = None
        self._births: dict[str, Any] = {}
        self._types: dict[str, dict[str, Any]] = {}
        self._seq: int | None = None
        self._group, self._node, self._joined = group, node, False
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "scada", protocol=mqtt.MQTTv5)
        if password is not None:
            self.client.username_pw_set("scada", password)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(f"spBv1.0/{group}/#", 1)
        self.client.on_subscribe = lambda *_: setattr(self, "_joined", True)
        self.client.on_message = lambda _c, _u, message: self._guarded(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until(lambda: self._joined, "the host is there")

    def kinds(self) -> list[str]:
        """Give each message's kind, with the device's name behind a slash."""
        return [f"{kind}/{device}" if device else kind for kind, device, _ in list(self.said)]

    def ask_for_births(self) -> None:
        """Send the node's rebirth command, as pysparkplug writes it."""
        spb = self.spb
        metric = spb.Metric(timestamp=1, name="Node Control/Rebirth", datatype=spb.DataType.BOOLEAN, value=True)
        payload = spb.NCmd(timestamp=1, metrics=(metric,)).encode(include_dtypes=True)
        self.client.publish(f"spBv1.0/{self._group}/NCMD/{self._node}", payload, 1).wait_for_publish(30)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _guarded(self, message: mqtt.MQTTMessage) -> None:
        try:
            self.hear(message.topic, bytes(message.payload), is_retained=bool(message.retain))
        except Exception as error:  # noqa: BLE001 - paho's thread shall go on, and the test shall see it
            self.faults.append(f"{message.topic}: {type(error).__name__}: {error}")

    def hear(self, topic: str, payload: bytes, *, is_retained: bool = False) -> None:
        """Take a message; its topic and payload are read by pysparkplug."""
        found = self.spb.Topic.from_str(topic)
        kind, device = str(found.message_type.value), found.device_id or ""
        if is_retained:
            self.faults.append(f"{topic}: retained")
        if kind == "NCMD":
            return
        told = getattr(self.spb, KINDS[kind]).decode(payload, birth=self._births.get(device))
        if kind == "NDEATH":
            self._died(told.bd_seq_metric.value)
            self.said.append((kind, device, {"bdSeq": told.bd_seq_metric.value}))
            return
        self._counted(kind, told.seq)
        metrics = tuple(getattr(told, "metrics", ()))
        values = {metric.name: metric.value for metric in metrics}
        if kind.endswith("BIRTH"):
            self._born(kind, device, told, values)
        self._held_to_the_birth(topic, device, metrics)
        self.values.setdefault(device, {}).update(values)
        self.said.append((kind, device, values))

    def _born(self, kind: str, device: str, told: Any, values: dict[str, Value]) -> None:
        self._births[device], self.values[device] = told, {}
        self._types[device] = {metric.name: metric.datatype for metric in told.metrics}
        if kind == "NBIRTH":
            self.bd_seq = values["bdSeq"]
            if values.get("Node Control/Rebirth") is not False:
                self.faults.append("a birth without its control")

    def _held_to_the_birth(self, topic: str, device: str, metrics: tuple[Any, ...]) -> None:
        born = self._types.get(device, {})
        strange = [metric.name for metric in metrics if born.get(metric.name) != metric.datatype]
        if strange:
            self.faults.append(f"{topic}: {strange} are not as at its birth")

    def _counted(self, kind: str, seq: int) -> None:
        expected = 0 if kind == "NBIRTH" else None if self._seq is None else (self._seq + 1) % 256
        if seq != expected:
            self.faults.append(f"{kind} has seq {seq}, expected {expected}")
        self._seq = seq

    def _died(self, bd_seq: int) -> None:
        if self.bd_seq is not None and bd_seq != self.bd_seq:
            self.faults.append(f"a death of {bd_seq}, expected {self.bd_seq}")
