"""kill -9 of broker and publisher, nine times each, at 300 messages a second: no committed result is lost.

The publisher writes a number down after its commit, the broker writes a document down before its acknowledgement: what
stands in the first list and not in the second is lost.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from fakes import brokers, publisher
from fakes.waiting import until

pytestmark = pytest.mark.slow

KILLS = 9
RATE = 300
PUBLISHER = Path(publisher.__file__)


Start = Callable[[int, float], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give a function that starts the publisher towards a port, for so many seconds."""
    started: list[subprocess.Popen[bytes]] = []

    def publish(port: int, seconds: float) -> subprocess.Popen[bytes]:
        words = [sys.executable, str(PUBLISHER), str(tmp_path), str(port), str(RATE), str(seconds)]
        started.append(subprocess.Popen(words))
        return started[-1]

    yield publish
    for one in started:
        one.kill()
        one.wait()


def until_more(file: Path, lines: int = 50) -> None:
    """Wait until so many more lines are in it: a busy machine takes its time to start who writes them, and to write them."""
    before = file.stat().st_size if file.exists() else 0
    until(lambda: file.exists() and file.read_bytes()[before:].count(b"\n") > lines, f"more in {file.name}")


def test_no_committed_result_is_lost_when_broker_and_publisher_are_killed(
    tmp_path: Path, start: Start, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(7)  # noqa: S311  (a test's dice)
    broker = brokers.journaling(tmp_path)
    request.addfinalizer(broker.close)
    victim = start(broker.port, 3600)
    for _ in range(KILLS):
        until_more(tmp_path / "committed", chance.randint(180, 300))
        broker.kill()
        time.sleep(chance.uniform(0.05, 0.3))
        broker.start()
        until_more(tmp_path / "journal", chance.randint(60, 200))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim = start(broker.port, 3600)
    until_more(tmp_path / "committed")
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    last = start(broker.port, 0.5)
    assert last.wait(90) == 0
    broker.close()

    committed = [int(line) for line in (tmp_path / "committed").read_text().split()]
    lines = (tmp_path / "journal").read_text().splitlines()
    arrived = [json.loads(line.split("\t")[1]) for line in lines if f"/out/{publisher.STREAM}\t" in line]
    numbers = Counter((body["boot_id"], body["seq"]) for body in arrived)
    firsts = list(dict.fromkeys(body["seq"] for body in arrived))
    print(f"committed {len(committed)}, arrived {len(arrived)}, twice {len(arrived) - len(numbers)}")  # noqa: T201

    assert len(committed) > 2000
    assert set(committed) - {seq for _, seq in numbers} == set()
    assert firsts == list(range(1, len(firsts) + 1))
    assert len({boot for boot, _ in numbers}) == 1


def test_a_mosquitto_that_keeps_its_sessions_passes_everything_on(
    tmp_path: Path, start: Start, request: pytest.FixtureRequest
) -> None:
    broker = brokers.mosquitto(
        tmp_path,
        "persistence true",
        f"persistence_location {tmp_path}/",
        "autosave_on_changes true",
        "autosave_interval 1",
        "max_queued_messages 0",
    )
    request.addfinalizer(broker.close)
    heard: list[int] = []
    subscriber = _subscriber(broker.port, heard)
    victim = start(broker.port, 3600)
    for _ in range(3):
        until_more(tmp_path / "committed", 250)
        broker.kill()
        broker.start()
        until_more(tmp_path / "committed", 250)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim = start(broker.port, 3600)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert start(broker.port, 0.5).wait(90) == 0
    committed = {int(line) for line in (tmp_path / "committed").read_text().split()}
    until(lambda: not committed - set(heard), "all of them are heard")
    subscriber.disconnect()
    subscriber.loop_stop()
    broker.close()

    assert committed - set(heard) == set()


def _subscriber(port: int, heard: list[int]) -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "subscriber", clean_session=False, reconnect_on_failure=True)
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda c, *_: c.subscribe("edged/+/d/+/out/result/#", 1)
    client.on_message = lambda _c, _u, message: heard.append(json.loads(message.payload)["seq"])
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client
