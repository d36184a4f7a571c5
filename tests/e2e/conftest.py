"""Whoever sends orders, daemons that end with their test, a model and a recording; broker and fleet are every test's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.brokers import BrokerProcess
from fakes.commander import Commander
from fakes.daemon import DaemonProcess, Run
from fakes.sensor import sensor_bundle, write_windows
from fakes.serialline import Sensor


@pytest.fixture
def hand(broker: BrokerProcess) -> Iterator[Commander]:
    """Give whoever sends orders, and hears what is answered."""
    made = Commander(broker.port)
    yield made
    made.close()


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """Give a function that starts the daemon on a configuration."""

    def start(config: Path, **settings: Any) -> DaemonProcess:
        daemon = DaemonProcess(config, **settings)
        request.addfinalizer(daemon.close)
        return daemon.start()

    return start


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a folder with the model ``level``."""
    sensor_bundle(tmp_path / "models" / "level-1")
    return tmp_path / "models"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Give a file of a hundred windows for it."""
    return write_windows(tmp_path / "spindle.csv", range(100))


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    """Give a sensor that says -2 for ever, 500 times a second, also while it is unplugged."""
    made = Sensor(tmp_path / "usb-sensor")
    done = threading.Event()

    def talk() -> None:
        while not done.wait(1 / 50):
            with made.lock:
                made.fill_once(b"-2\n" * 10)

    talker = threading.Thread(target=talk)
    talker.start()
    yield made
    done.set()
    talker.join()
    made.close()
