"""What a simulation stands on: a broker of its own in a temporary folder, and two releases of a model that nobody has to run."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from paho.mqtt.enums import MQTTProtocolVersion

from edged.domain.errors import ConfigError, DeviceError
from edged.update.archive import pack_into
from edged.update.desired import ModelOrder
from edged.update.manifest import read_bundle

MODEL, FIRST, NEXT = "simulated", "1.0.0", "1.1.0"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory, in which each simulation makes its own
BOX_BYTES = 128 * 1024
"""What a box writes, twice over."""
SPARE_FILES = 200
STARTS_WITHIN_S = 10.0

_CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 64
persistence true
persistence_location {folder}/
"""
_MANIFEST = """\
name = "{name}"
version = "{version}"
task = "anomaly"
license = "Apache-2.0"

[input]
kind = "window"
length = 8
stride = 8
channels = 1

[output]
decoder = "anomaly"
threshold = 1.0

[[variant]]
id = "fp32"
file = "model.onnx"
sha256 = "{sha256}"
runtime = "onnx"
precision = "fp32"
layout = "flat"
"""


class Broker(Protocol):
    """What boxes and the fleet manager meet at."""

    @property
    def protocol(self) -> MQTTProtocolVersion:
        """The version of MQTT that it speaks."""

    @property
    def ports(self) -> tuple[int, ...]:
        """Where boxes may connect; where one is gone they go on to the next."""

    @property
    def port(self) -> int:
        """Where the fleet manager does."""

    def start(self) -> None:
        """Start it, and wait until it takes clients. Raises DeviceError."""

    def disturb(self) -> float:
        """Do what an evening brings: it is restarted, or loses a part. Gives for how many seconds it was not there."""

    def stop(self) -> None:
        """End it."""


class Mosquitto:
    """A broker that keeps what it retains from one start to the next."""

    protocol = MQTTProtocolVersion.MQTTv5

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            message = "cannot simulate a fleet: there is no mosquitto, expected the program on PATH"
            raise ConfigError(message, remedy="apt-get install mosquitto")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        text = _CONFIGURATION.format(port=self.port, folder=folder)
        # As root it would take another user's rights, who may not write here.
        (folder / "mosquitto.conf").write_text(text + ("user root\n" if os.geteuid() == 0 else ""), encoding="utf-8")
        self._command = [program, "-c", str(folder / "mosquitto.conf")]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ports(self) -> tuple[int, ...]:
        """The one."""
        return (self.port,)

    def disturb(self) -> float:
        """Restart it."""
        began_s = time.monotonic()
        self.stop()
        self.start()
        return time.monotonic() - began_s

    def start(self) -> None:
        """Start it, and wait until it listens. Raises DeviceError."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until_s = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < until_s and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        message = f"cannot simulate a fleet: mosquitto does not listen on {self.port}, expected it to"
        raise DeviceError(message)

    def stop(self) -> None:
        """End it as an operator does: what it retains is written."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STARTS_WITHIN_S)
            self._process = None


@contextmanager
def workplace(boxes: int) -> Iterator[Path]:
    """Give a folder for as long as it is needed; in memory where there is room: a thousand boxes would share one disk."""
    is_there = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > boxes * BOX_BYTES
    where = MEMORY if is_there else None
    with tempfile.TemporaryDirectory(prefix="edged-fleet-", dir=where) as folder:
        yield Path(folder)


def publish_releases(folder: Path) -> ModelOrder:
    """Put the first release into ``models`` below ``folder``, the next into ``repository``, and give the order for it."""
    _bundle(folder / "models" / MODEL, FIRST)
    bundle = read_bundle(_bundle(folder / "source", NEXT))
    target = folder / "repository" / f"{MODEL}-{NEXT}.edgemodel"
    target.parent.mkdir()
    with target.open("wb") as stream:
        pack_into(bundle, stream)
    content = target.read_bytes()
    return ModelOrder(MODEL, NEXT, target.name, len(content), hashlib.sha256(content).hexdigest())


def allow_files(wanted: int) -> None:
    """Let this process, and the broker after it, have so many connections. Raises ConfigError when the machine does not."""
    wanted += SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        message = f"cannot simulate so many boxes: {hard} open files are allowed, expected {wanted}"
        raise ConfigError(message, remedy="ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _bundle(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    weights = f"no model: {version}".encode()
    (folder / "model.onnx").write_bytes(weights)
    text = _MANIFEST.format(name=MODEL, version=version, sha256=hashlib.sha256(weights).hexdigest())
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder
