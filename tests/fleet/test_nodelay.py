"""Nothing that asks and waits for an answer is held back by Nagle's algorithm: 88 ms a request were 1.1 ms without it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISSOCK

import pytest

from edgectl.fleet.settings import Settings
from edgectl.fleet.wire import Wire
from edged.config.schema import Mqtt
from edged.fleet.https import HttpTransport
from fakes.broker import FakeBroker
from fakes.station import MakeStation
from fakes.webserver import serving


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    made = FakeBroker()
    yield made
    made.close()


def held_back(port: int) -> list[bool]:
    """Tell of each connection of this process to a port whether small packets wait in it."""
    found: list[bool] = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not places
        with suppress(OSError):
            # Asked first: a copy of what is no socket would stay open, and with 1024 files no other test can select().
            if not S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.getpeername()[1] == port:
                    found.append(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0)
    return found


def test_a_box_s_documents_and_requests_for_blocks_are_sent_at_once(broker: FakeBroker, station: MakeStation) -> None:
    station(broker.port).online()

    assert held_back(broker.port) == [False]


def test_the_fleet_s_orders_and_blocks_are_sent_at_once(broker: FakeBroker) -> None:
    with Wire(Settings(mqtt=Mqtt(host="127.0.0.1", port=broker.port)), (), print, "desk"):
        assert held_back(broker.port) == [False]


def test_requests_over_http_are_sent_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1_000_000))
    with serving(tmp_path) as web, HttpTransport(web.url).read("file") as reply:
        next(reply.blocks)
        assert held_back(int(web.url.rsplit(":", 1)[1].strip("/"))) == [False]
