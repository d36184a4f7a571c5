"""What a download costs the pipelines: a real daemon on a camera's pace, a signed repository behind a line of 100 Mbit/s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from daemons import start, stop
from figure import Effort, Figure, median, quantile
from networks import Network, network
from paho.mqtt.enums import CallbackAPIVersion
from waiting import until

from edged.demo.broker import Broker
from edged.domain.bundle import Bundle

TESTS = Path(__file__).resolve().parents[1] / "tests"
SERVER = Path(__file__).with_name("file_server.py")
MIB = 1024**2
SIZE, LINE_BYTES_PER_S = 128 * MIB, 12.5e6
FPS, ROUNDS = 30, 8
MOST = 1.10
PATIENCE_S = 90.0
SETTLE_S = 3.0
DEVICE = "bench"

CONFIG = """
[device]
id = "bench"
[state]
directory = "{folder}/state"
[models]
directories = ["{models}"]
measure = "off"
[mqtt]
port = {port}
[updates]
repository = "{url}"
trust = "{folder}/root.json"
[[source]]
name = "camera"
kind = "images"
path = "{picture}"
fps = {fps}
loop = true
[[pipeline]]
name = "bench"
source = "camera"
model = "{model}"
report = {{ results = "all", qos = 0 }}
"""


class Heard:
    """What the daemon says: how long each inference took, and how far an order is."""

    def __init__(self, port: int) -> None:
        self._took_ms: list[float] = []
        self._states: list[str] = []
        self._lock = threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-downloading")
        self._client.on_connect = lambda client, *_: client.subscribe("edged/v1/d/bench/out/#", 1)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, payload: bytes) -> None:
        """Leave an order at the broker."""
        self._client.publish(f"edged/v1/d/{DEVICE}/in/desired", payload, 1, retain=True).wait_for_publish(PATIENCE_S)

    def taken(self) -> list[float]:
        """Give the times since this was asked last, in ms."""
        with self._lock:
            took_ms, self._took_ms = self._took_ms, []
            return took_ms

    def looked_at(self, settle_s: float, for_s: float) -> list[float]:
        """Let it settle, then give the times of a while."""
        time.sleep(settle_s)
        self.taken()
        time.sleep(for_s)
        return self.taken()

    def until(self, *states: str) -> None:
        """Wait until an order is in one of the states; what it was in before counts no more."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            with self._lock:
                place = next((place for place, one in enumerate(self._states) if one in states), None)
                if place is not None:
                    del self._states[: place + 1]
                    return
            time.sleep(0.005)
        message = f"cannot measure: the order is not {' or '.join(states)} within {PATIENCE_S:.0f} s"
        raise RuntimeError(message)

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        body = json.loads(message.payload)
        with self._lock:
            if message.topic.endswith("/result/bench"):
                self._took_ms.append(body["latency_ms"]["inference"])
            elif message.topic.endswith("/update") and "progress" not in body:
                self._states.append(body["state"])


def measure(effort: Effort) -> list[Figure]:
    """Give the one row."""
    before: list[list[float]] = []
    during: list[list[float]] = []
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as (heard, shop, bundle):
        for number in range(effort.times(ROUNDS)):
            # As large as a release and none: it is rejected once it was fetched, and changes nothing.
            payload = shop.publish(Order(bundle.manifest.name, f"9.0.{number}", os.urandom(SIZE)))
            before.append(heard.looked_at(SETTLE_S, SIZE / LINE_BYTES_PER_S))
            heard.publish(payload)
            heard.until("downloading")
            heard.taken()
            heard.until("verifying")
            during.append(heard.taken())
            heard.until("rejected")
    return [_figure(before, during)]


def _figure(before: list[list[float]], during: list[list[float]]) -> Figure:
    whole = [quantile([one for part in parts for one in part], 0.99) for parts in (before, during)]
    ratio = whole[1] / whole[0]
    ratios = [quantile(two, 0.99) / quantile(one, 0.99) for one, two in zip(before, during, strict=True)]
    half = [median([one for part in parts for one in part]) for parts in (before, during)]
    return Figure(
        "inference p99 while a model is downloaded over HTTP ÷ before",
        f"≤ {MOST:.2f}",
        f"{ratio:.2f}",
        ratio <= MOST,
        f"{whole[0]:.2f} and {whole[1]:.2f} ms over {len(before)} downloads of {SIZE // MIB} MiB at 100 Mbit/s, {FPS} frames a second; "
        f"one by one {min(ratios):.2f} to {max(ratios):.2f}, median {median(ratios):.2f}; p50 {half[0]:.2f} and {half[1]:.2f} ms",
    )


@contextmanager
def running(folder: Path) -> Iterator[tuple[Heard, Shop, Bundle]]:
    """Give a daemon that gives results, who signs for it, and the bundle that it runs."""
    net = network("large", folder / "bundles")
    shop = Shop(folder)
    command = [sys.executable, str(SERVER), str(folder / "public"), str(LINE_BYTES_PER_S)]
    broker = Broker(folder)
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
            assert server.stdout is not None  # noqa: S101 - a pipe, as asked for above
            config = _config(folder, net, broker.port, f"http://127.0.0.1:{int(server.stdout.readline())}/")
            try:
                with closing(Heard(broker.port)) as heard:
                    daemon = start(config)
                    try:
                        until(heard.taken, "the first result", PATIENCE_S)
                        yield heard, shop, net.bundle
                    finally:
                        stop(daemon)
            finally:
                server.kill()
    finally:
        broker.close()


@dataclass(frozen=True, slots=True)
class Order:
    """A file that is offered as a release, and what more its order says."""

    model: str
    version: str
    content: bytes
    more: Mapping[str, Any] = field(default_factory=dict)


class Shop:
    """Whoever signs, for a web server's folder."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(TESTS))
        from fakes.repository_simulator import Simulator  # noqa: PLC0415 - not on the path before

        self._folder, self._now, self._seq = folder, datetime.now(timezone.utc), 0
        self._signers = Simulator(expires=self._now + timedelta(days=1))
        (folder / "root.json").write_bytes(self._signers.provisioned)
        self._signers.write(folder / "public")

    def publish(self, order: Order) -> bytes:
        """Offer a file in place of the last, and give its order."""
        from fakes.repository_simulator import ordered  # noqa: PLC0415 - as above

        name = f"{order.model}-{order.version}.edgemodel"
        for path in [path for path in self._signers.files if path.endswith(".edgemodel")]:
            del self._signers.files[path]
            (self._folder / "public" / path).unlink()
        self._signers.add(name, order.content)
        self._signers.publish()
        self._signers.write(self._folder / "public")
        return self._signed({order.model: ordered(name, order.content, version=order.version, **order.more)})

    def withdraw(self, model: str) -> bytes:
        """Give an order that takes the last one back."""
        return self._signed({model: None})

    def _signed(self, models: dict[str, Any]) -> bytes:
        from fakes.repository_simulator import desired, written  # noqa: PLC0415 - as above

        self._seq += 1
        dates = {"issued": written(self._now), "not_after": written(self._now + timedelta(days=1))}
        return self._signers.desire(desired(**{"for": {"device": DEVICE}, "seq": self._seq, **dates, "models": models}))


def _config(folder: Path, net: Network, port: int, url: str) -> Path:
    file = folder / "box" / "edged.toml"
    file.parent.mkdir()
    values = {"folder": folder, "models": net.bundle.folder.parent, "port": port, "url": url}
    text = CONFIG.format(**values, picture=net.picture, fps=FPS, model=net.bundle.manifest.name)
    file.write_text(text, encoding="utf-8")
    return file
