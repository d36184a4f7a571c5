"""A box as the fleet sees it: it retains its documents, and does as it is ordered in the way that it is told to."""

from __future__ import annotations

import base64
import json
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edged.update.desired import Desired, parse


class FleetBox:
    """``ends`` is the state in which an order ends here; ``seqs`` are the orders that came."""

    def __init__(
        self,
        port: int,
        name: str,
        *,
        model: str = "parts",
        profile: str = "raspberry-pi-5",
        version: str = "1.0.0",
        ends: str = "committed",
        password: str | None = None,
    ) -> None:
        self.name, self.ends, self.model = name, ends, model
        self.seqs: list[int] = []
        self.envelopes: list[bytes] = []
        self.version = version
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        self.client.on_message = lambda _c, _u, message: self._ordered(bytes(message.payload))
        if password is not None:
            self.client.username_pw_set(name, password)
        self.client.connect("127.0.0.1", port)
        self.client.subscribe(f"edged/v1/d/{name}/in/desired", 1)
        self.client.loop_start()
        self.tell("status", state="online")
        self.tell("health", state="ok", reasons=[])
        self.tell("inventory", profile=profile, groups=["line-a"])
        self._models("committed", None)

    def tell(self, stream: str, **document: Any) -> None:
        self.client.publish(
            f"edged/v1/d/{self.name}/out/{stream}", json.dumps(document), 1, retain=True
        ).wait_for_publish(30)

    def again(self) -> None:
        """Carry the last order out once more, as it is told to by now."""
        if self.envelopes:
            self._carry_out(_desired(self.envelopes[-1]))

    def _ordered(self, envelope: bytes) -> None:
        desired = _desired(envelope)
        self.envelopes.append(envelope)
        self.seqs.append(desired.seq)
        self._carry_out(desired)

    def _carry_out(self, desired: Desired) -> None:
        wanted = desired.models[self.model]
        if self.ends == "committed" and wanted is not None:
            self.version = wanted.version
        self._models(self.ends, {"seq": desired.seq, "audience": str(desired.audience)})

    def _models(self, state: str, order: dict[str, Any] | None) -> None:
        told = {
            "name": self.model,
            "state": state,
            "active": {"version": self.version},
            "previous": None,
            "desired": order,
        }
        body = {"models": [{**told, "since": "2026-01-01T00:00:00.000Z"}]}
        # On the connection's own thread nobody may wait for an acknowledgement.
        self.client.publish(f"edged/v1/d/{self.name}/out/models", json.dumps(body), 1, retain=True)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def _desired(envelope: bytes) -> Desired:
    return parse(base64.b64decode(json.loads(envelope)["payload"]))
