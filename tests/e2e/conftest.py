"""A broker, a client of the fleet, and daemons that end with their test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.daemon import DaemonProcess, Run
from fakes.subscriber import Subscriber


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """Give mosquitto, or skip where there is none."""
    made = brokers.mosquitto(tmp_path)
    yield made
    made.close()


@pytest.fixture
def fleet(broker: BrokerProcess) -> Iterator[Subscriber]:
    """Give a client that hears everything from the start on."""
    made = Subscriber(broker.port)
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
