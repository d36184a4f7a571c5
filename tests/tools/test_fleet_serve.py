"""Blocks of a repository over a real broker: several services share the load, and one that is killed loses nothing."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edgectl.cli import main
from edgectl.fleet.serve import read_shard
from edged.domain.errors import ConfigError
from edged.fleet.blocks import BlockTransport
from edged.fleet.fetch import AbsentError
from fakes import brokers
from fakes.brokers import BrokerProcess

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-c", "import sys; from edgectl.cli import main; sys.exit(main())"]
SIZE = 6 * 1024 * 1024


class Box:
    """A device that asks for blocks; ``asked`` are its requests, ``after`` is called with each one's number."""

    def __init__(self, port: int, name: str) -> None:
        self.asked, self.messages = 0, queue.SimpleQueue[bytes]()
        self.after: dict[int, Any] = {}
        self._name = name
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        self.client.on_message = lambda _c, _u, message: self.messages.put(bytes(message.payload))
        self.client.connect("127.0.0.1", port)
        self.client.subscribe(f"edged/v1/d/{name}/in/file", 0)
        self.client.loop_start()

    def read(self, file: str) -> bytes:
        with BlockTransport(self._ask, self._receive).read(file) as reply:
            return b"".join(reply.blocks)

    def _ask(self, request: dict[str, Any]) -> None:
        self.asked += 1
        self.after.get(self.asked, lambda: None)()
        self.client.publish(f"edged/v1/d/{self._name}/out/get", json.dumps(request), 0)

    def _receive(self, timeout_s: float) -> bytes | None:
        try:
            return self.messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Services:
    def __init__(self, folder: Path, port: int) -> None:
        self.config = folder / "fleet.toml"
        self.config.write_text(f'[mqtt]\nport = {port}\n[repository]\nfolder = "repository"\n')
        (folder / "repository").mkdir()
        self.content = os.urandom(SIZE)
        (folder / "repository" / "model.bin").write_bytes(self.content)
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *more: str) -> subprocess.Popen[str]:
        command = [*PROGRAM, "fleet", "serve", "--config", str(self.config), *more]
        started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self._running.append(started)
        assert started.stderr is not None
        assert started.stderr.readline().startswith("serves ")
        return started

    def stop(self, service: subprocess.Popen[str]) -> str:
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=10)
        self._running.remove(service)
        return said

    def close(self) -> None:
        for service in list(self._running):
            service.kill()
            service.communicate()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    made = brokers.mosquitto(tmp_path)
    yield made
    made.close()


@pytest.fixture
def services(broker: BrokerProcess, tmp_path: Path) -> Iterator[Services]:
    made = Services(tmp_path, broker.port)
    yield made
    made.close()


@pytest.fixture
def box(broker: BrokerProcess) -> Iterator[Box]:
    made = Box(broker.port, "press-07")
    yield made
    made.close()


def served(said: str) -> int:
    return int(said.split("served ")[1].split(maxsplit=1)[0])


def test_two_share_the_load(services: Services, box: Box) -> None:
    one, other = services.start(), services.start()
    assert hashlib.sha256(box.read("model.bin")).digest() == hashlib.sha256(services.content).digest()
    counts = [served(services.stop(service)) for service in (one, other)]
    assert sum(counts) == box.asked
    assert min(counts) >= box.asked // 4


def test_one_that_is_killed_loses_nothing(services: Services, box: Box) -> None:
    services.start()
    box.after[10] = services.start().kill
    assert box.read("model.bin") == services.content


def test_shards_share_it_where_a_broker_has_no_shared_subscriptions(services: Services, broker: BrokerProcess) -> None:
    shards = [services.start("--shard", f"{number}/2") for number in (1, 2)]
    boxes = [Box(broker.port, f"box-{number}") for number in range(6)]
    assert {box.read("model.bin") == services.content for box in boxes} == {True}
    for one in boxes:
        one.close()
    counts = [served(services.stop(service)) for service in shards]
    assert sum(counts) == sum(one.asked for one in boxes)
    assert min(counts) > 0


def test_a_file_that_is_not_there_is_said_to_be_absent(services: Services, box: Box) -> None:
    services.start()
    with pytest.raises(AbsentError):
        box.read("../fleet.toml")


def test_what_is_no_request_is_not_answered(services: Services, box: Box) -> None:
    service = services.start()
    box.client.publish("edged/v1/d/press-07/out/get", b"[" * 3000, 0).wait_for_publish(5)
    assert box.read("model.bin") == services.content
    assert served(services.stop(service)) == box.asked


def test_a_broker_that_is_not_there_is_told(
    services: Services, broker: BrokerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    broker.close()
    assert main(["fleet", "serve", "--config", str(services.config)]) == 1
    assert "expected one that listens" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["3/2", "0/2", "1", "a/b", "1/0"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected such as 2/3"):
        read_shard(text)


def test_settings_with_faults_tell_each_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text('[mqtt]\nport = 0\n[repository]\nfolders = "x"\n')
    assert main(["fleet", "serve", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert "mqtt.port" in said
    assert "repository.folders" in said
