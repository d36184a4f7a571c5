"""Every kind of source that is read as it comes, side by side through one daemon, and its end while all of them hang."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import struct
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import Run, write_config
from fakes.mjpeg import JpegCamera
from fakes.modbusdevice import RtuServer, device, switches, tcp_server, words
from fakes.rtsp import RtspServer
from fakes.sensor import picture_bundle, pipeline, sensor_bundle
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

SOUND_HZ, SOUND_S = 8000, 1
ACQUIRED_HZ, TOGETHER, WINDOW = 25_600, 240, 2560
"""Three channels of so many samples a second, so many in a datagram, and so many in a window."""
LEVEL = 4
"""What each sensor says, below zero: a window of it scores the square."""

SENSORS = """
[[source]]
name = "sound"
kind = "wav"
path = "{folder}/sound.wav"
pace = "recorded"
loop = true

[[source]]
name = "acquired"
kind = "udp"
listen = "127.0.0.1:{udp}"
channels = ["x", "y", "z"]
columns = ["y"]
rate_hz = {acquired_hz}

[[source]]
name = "press"
kind = "modbus"
host = "127.0.0.1"
tcp_port = {modbus}
columns = ["force"]
registers = [{{ name = "force", address = 0, scale = -1.0 }}]
rate_hz = 50

[[source]]
name = "pump"
kind = "modbus"
port = "{rtu}"
parity = "none"
columns = ["force"]
registers = [{{ name = "force", address = 0, scale = -1.0 }}]
rate_hz = 20

[[source]]
name = "oven"
kind = "topic"
topic = "plant/+/oven"
columns = ["data[0].x"]
rate_hz = 100

[[source]]
name = "box"
kind = "system"
columns = ["memory_total_mb"]
rate_hz = 50

[[source]]
name = "both"
kind = "join"
rate_hz = 20
method = "nearest"
[[source.part]]
name = "one"
kind = "system"
columns = ["memory_total_mb"]
rate_hz = 50
[[source.part]]
name = "other"
kind = "modbus"
host = "127.0.0.1"
tcp_port = {modbus}
columns = ["force"]
registers = [{{ name = "force", address = 0, scale = -1.0 }}]
rate_hz = 50
"""
SCORES = {
    "sound": 0.25,
    "acquired": LEVEL**2,
    "press": LEVEL**2,
    "pump": LEVEL**2,
    "oven": LEVEL**2,
    "box": 0.0,
    "both": LEVEL**2 / 2,
}
"""Of a window: of what is read from the box itself, which is above zero, nothing is wrong."""
MODELS = {"acquired": "long", "both": "pair"}


def put_models(models: Path) -> None:
    sensor_bundle(models / "level", name="level", length=8)
    sensor_bundle(models / "long", name="long", length=WINDOW)
    pair = sensor_bundle(models / "pair", name="pair", length=8)
    text = (pair / "model.toml").read_text()
    shape = "length = 4\nstride = 4\nchannels = 2"
    (pair / "model.toml").write_text(text.replace("length = 8\nstride = 8\nchannels = 1", shape))
    np.save(pair / "golden" / "first.npy", np.full((4, 2), -2.0, np.float32))
    picture_bundle(models / "still")


def put_sound(file: Path) -> None:
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SOUND_HZ)
        sound.writeframes(struct.pack("<h", -(2**14)) * (SOUND_HZ * SOUND_S))


class Plant:
    """Everything that says something, until it is closed."""

    def __init__(self, broker: Subscriber) -> None:
        self.udp, self.modbus = free_port(), free_port()
        held = [words(0, LEVEL)]
        self._devices = [
            tcp_server(device(holding=held, others=[words(0, 1)], bits=[switches(True)]), self.modbus),
            RtuServer(device(holding=held, others=[words(0, 1)], bits=[switches(True)])),
        ]
        self.rtu = self._devices[1].port
        self._broker = broker
        self._done = threading.Event()
        self.datagrams = 0
        self._talkers = [threading.Thread(target=talk) for talk in (self._acquire, self._publish)]
        for talker in self._talkers:
            talker.start()

    def close(self) -> None:
        self._done.set()
        for part in (*self._talkers, *self._devices):
            part.close() if hasattr(part, "close") else part.join()

    def _acquire(self) -> None:
        """Send what an acquisition box sends, at its pace."""
        samples = struct.pack("<3h", 0, -LEVEL, 0) * TOGETHER
        began_s = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not self._done.wait(max(0.0, began_s + self.datagrams * TOGETHER / ACQUIRED_HZ - time.monotonic())):
                sender.sendto(struct.pack("<IH", self.datagrams, 3) + samples, ("127.0.0.1", self.udp))
                self.datagrams += 1

    def _publish(self) -> None:
        while not self._done.wait(0.01):
            self._broker.client.publish("plant/a/oven", json.dumps({"data": [{"x": -LEVEL}]}))


@pytest.fixture
def plant(fleet: Subscriber) -> Iterator[Plant]:
    made = Plant(fleet)
    yield made
    made.close()


@pytest.fixture
def rtsp() -> Iterator[RtspServer]:
    made = RtspServer()
    yield made
    made.kill()


def test_each_sensor_gives_its_results_and_none_says_that_it_is_not_well(
    plant: Plant, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    put_models(tmp_path / "models")
    put_sound(tmp_path / "sound.wav")
    body = SENSORS.format(
        folder=tmp_path, udp=plant.udp, modbus=plant.modbus, rtu=plant.rtu, acquired_hz=ACQUIRED_HZ
    ) + "".join(pipeline(name, source=name, model=MODELS.get(name, "level")) for name in SCORES)

    daemon = run(write_config(tmp_path, broker.port, body))

    for name, score in SCORES.items():
        until(lambda name=name: len(fleet.of(f"result/{name}")) >= 3, f"results of {name}")
        told = [one["anomaly"]["score"] for one in fleet.of(f"result/{name}")]
        assert told == pytest.approx([score] * len(told), abs=1e-3), name
    # A second of three channels at their full rate, of which nothing got lost on the way.
    until(lambda: len(fleet.of("result/acquired")) >= ACQUIRED_HZ / WINDOW, "a second of samples")
    until(lambda: fleet.last("telemetry").get("pipelines", {}).get("acquired", {}).get("results"), "telemetry")
    assert "lost" not in fleet.last("telemetry")["pipelines"]["acquired"]["drops"]
    until(lambda: fleet.last("health")["state"] == "ok", f"all is well: {fleet.last('health')}")
    assert daemon.stop()[0] == 0


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="needs gst-launch-1.0, of gstreamer1.0-tools")
def test_each_camera_gives_its_results_and_sigterm_ends_them_all_within_5_s_though_everything_hangs(
    jpegs: JpegCamera, rtsp: RtspServer, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    put_models(tmp_path / "models")
    cameras = {
        "jpegs": f"{jpegs.url}/stall",
        "rtsp": rtsp.url,
        "text": "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1",
    }
    body = "".join(f'[[source]]\nname = "{name}"\nkind = "camera"\nurl = "{url}"\n' for name, url in cameras.items())
    body += "".join(pipeline(name, source=name, model="still") for name in cameras)
    daemon = run(write_config(tmp_path, broker.port, body))
    for name in cameras:
        until(lambda name=name: len(fleet.of(f"result/{name}")) >= 3, f"results of {name}")

    assert broker._process is not None
    rtsp.freeze()
    broker._process.send_signal(signal.SIGSTOP)
    try:
        status, took_s = daemon.stop()
    finally:
        broker._process.send_signal(signal.SIGCONT)
        rtsp.thaw()
    print(f"\nSIGTERM with everything hanging: {took_s:.2f} s")  # noqa: T201 - a figure

    assert status == 0
    assert took_s < 5
