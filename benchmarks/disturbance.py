"""What a pipeline feels of the variants that are measured behind it: its p99 meanwhile against its p99 in the time before."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
from daemons import start, stop
from figure import Effort, Figure, median, quantile
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from waiting import until

from edged.config.share import shipped
from edged.demo.broker import Broker

TARGET = 1.10
STARTED_S, BEFORE_S, MEASURING_S = 4.0, 15.0, 150.0
"""The daemon measures nothing in its first 20 seconds: those after its start are what is compared with."""
STARTS = 3
LOOK_S = 0.05

CONFIG = """
[device]
id = "bench"
[state]
directory = "{folder}/state{number}"
[mqtt]
port = {port}
[[source]]
name = "belt"
kind = "images"
path = "{pictures}"
fps = 25
loop = true
[[pipeline]]
name = "bench"
source = "belt"
model = "parts"
pin = "{pin}"
"""
PIN = "large-tflite-int8"


class Felt:
    """The latencies of results, with the time of each."""

    def __init__(self, port: int) -> None:
        self.felt: list[tuple[float, float]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, "felt")
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("edged/v1/d/bench/out/result/bench")
        self._client.loop_start()

    def close(self) -> None:
        """Stop listening."""
        self._client.loop_stop()
        self._client.disconnect()

    def _heard(self, _client: object, _userdata: object, message: Any) -> None:
        self.felt.append((time.monotonic(), sum(json.loads(message.payload)["latency_ms"].values())))


def measure(effort: Effort) -> list[Figure]:
    """Give the row."""
    with tempfile.TemporaryDirectory() as name, closing(Broker(Path(name))) as broker:
        found = [_once(Path(name), number, broker.port, effort) for number in range(effort.times(STARTS))]
    before = [latency for one in found for latency in one[0]]
    meanwhile = [latency for one in found for latency in one[1]]
    ratio = quantile(meanwhile, 0.99) / quantile(before, 0.99)
    return [
        Figure(
            "a pipeline's p99 while variants are measured behind it ÷ before",
            f"≤ {TARGET:.2f}",
            f"{ratio:.2f}",
            ratio <= TARGET,
            f"{quantile(before, 0.99):.1f} → {quantile(meanwhile, 0.99):.1f} ms of {len(before)} and {len(meanwhile)} frames in "
            f"{len(found)} starts; medians {median(before):.1f} → {median(meanwhile):.1f} ms; parts {PIN} at 25 frames a second",
        )
    ]


def _once(folder: Path, number: int, port: int, effort: Effort) -> tuple[list[float], list[float]]:
    """Start a daemon that knows no figures; gives the latencies before anything is measured, and while a child measures."""
    config = folder / f"edged{number}.toml"
    pictures = shipped("models") / "parts" / "golden"
    text = CONFIG.format(folder=folder, number=number, port=port, pictures=pictures, pin=PIN)
    config.write_text(text, encoding="utf-8")
    began: list[float] = []
    with closing(Felt(port)) as felt:
        daemon = start(config)
        try:
            until(lambda: felt.felt, "the first result")
            first_s = felt.felt[0][0] + STARTED_S
            until(lambda: _measures(daemon.pid), "the measuring of a candidate", 120.0, LOOK_S)
            began.append(time.monotonic())
            threading.Event().wait(max(10.0, MEASURING_S * effort.share))
        finally:
            stop(daemon)
    before_s = min(began[0], first_s + BEFORE_S)
    before = [latency for at, latency in felt.felt if first_s <= at < before_s]
    return before, [latency for at, latency in felt.felt if at >= began[0]]


def _measures(pid: int) -> bool:
    """Whether a child of the daemon measures a candidate."""
    try:
        children = psutil.Process(pid).children()
        return any("edged.assembly.candidate" in " ".join(child.cmdline()) for child in children)
    except psutil.Error:
        return False
