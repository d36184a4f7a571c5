"""Whoever sends orders, and daemons that end with their test; the broker and the client of the fleet are every test's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.brokers import BrokerProcess
from fakes.commander import Commander
from fakes.daemon import DaemonProcess, Run


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
