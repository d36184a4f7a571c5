"""Tells a mosquitto that runs to change its users: the dynamic security plugin's own topic, answered there."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edged.domain.errors import DeviceError

ORDERS, ANSWERS = "$CONTROL/dynamic-security/v1", "$CONTROL/dynamic-security/v1/response"
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a broker listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks."""

    user: str
    password: str = field(repr=False)


def command(place: Place, login: Login, commands: Sequence[dict[str, Any]]) -> list[str]:
    """Have the commands carried out, in their order, and give what went wrong: ``command: reason``.

    Raises DeviceError when the broker cannot be reached, refuses the administrator, or does not answer.
    """
    heard = _Heard(len(commands))
    client = mqtt.Client(CallbackAPIVersion.VERSION2, login.user, protocol=mqtt.MQTTv5)
    client.username_pw_set(login.user, login.password)
    client.on_connect = heard.connected
    client.on_subscribe = partial(_order, commands)
    client.on_message = heard.message
    try:
        client.connect(place.host, place.port)
    except OSError as error:
        message = f"cannot reach the broker at {place.host}:{place.port}: {error.strerror or error}, expected one that listens"
        raise DeviceError(message) from error
    client.loop_start()
    try:
        answered = heard.done.wait(PATIENCE_S)
    finally:
        client.disconnect()
        client.loop_stop()
    if heard.refused or not answered:
        why = heard.refused or f"no answer in {PATIENCE_S:.0f} s"
        message = f"cannot change the broker at {place.host}:{place.port}: {why}, expected the plugin's answer"
        raise DeviceError(
            message, remedy="it needs the plugin and configuration that `edgectl fleet broker init` writes"
        )
    return heard.faults


def _order(commands: Sequence[dict[str, Any]], client: mqtt.Client, *_: Any) -> None:
    client.publish(ORDERS, json.dumps({"commands": list(commands)}), 1)


class _Heard:
    """What came back."""

    def __init__(self, wanted: int) -> None:
        self.done, self.refused = threading.Event(), ""
        self.faults: list[str] = []
        self._missing = wanted

    def connected(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.refused = str(reason)
            self.done.set()
        else:
            client.subscribe(ANSWERS, 1)

    def message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        for answer in json.loads(message.payload).get("responses", ()):
            self._missing -= 1
            if "error" in answer:
                self.faults.append(f"{answer.get('command')}: {answer['error']}")
        if self._missing <= 0:
            self.done.set()
