"""Another client of the broker: a program that prints ``<monotonic ns> <topic> <frame>`` for every result."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def main() -> None:
    """Listen on a port until the standard input ends; print ``ready`` once subscribed."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-subscriber")

    def on_message(_client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        document = json.loads(message.payload)
        print(now_ns, message.topic, document.get("frame", -1), flush=True)

    client.on_connect = lambda client, *_: client.subscribe("edged/v1/d/+/out/result/#", 1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = on_message
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_start()
    sys.stdin.read()
    client.loop_stop()


if __name__ == "__main__":
    main()
