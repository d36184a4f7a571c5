"""A UDP port on loopback."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from edged.domain.errors import DeviceError, SourceLostError
from edged.domain.frame import Samples
from edged.sources import udp
from edged.sources.datagram import DatagramLayout
from edged.sources.udp import UdpSource, open_source
from fakes.brokers import free_port
from fakes.realclock import RealClock

LAYOUT = DatagramLayout((("seq", "u32"),), channels=3, taken=(0, 1, 2))


@dataclass
class SteppingClock(RealClock):
    """Moves on by three seconds at each look."""

    now_ns: int = 0

    def monotonic_ns(self) -> int:
        self.now_ns += 3_000_000_000
        return self.now_ns


@dataclass
class Sender:
    port: int
    seq: int = 0

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, samples: int) -> None:
        values = [self.seq % 30_000] * 3 * samples
        self.raw(struct.pack(f"<I{len(values)}h", self.seq, *values))
        self.seq += 1

    def raw(self, data: bytes) -> None:
        self.socket.sendto(data, ("127.0.0.1", self.port))


def opened(**settings: Any) -> UdpSource:
    return open_source(
        **{"host": "127.0.0.1", "port": 0, "clock": RealClock(), "layout": LAYOUT, "rate_hz": 25_600.0, **settings}
    )


@pytest.fixture
def source() -> Iterator[UdpSource]:
    made = opened()
    yield made
    made.close()


@pytest.fixture
def sender(source: UdpSource) -> Iterator[Sender]:
    made = Sender(source._listener.getsockname()[1])
    yield made
    made.socket.close()


def test_datagrams_that_come_together_are_one_block(source: UdpSource, sender: Sender) -> None:
    for _ in range(4):
        sender.send(240)

    samples = source.read()

    assert isinstance(samples, Samples)
    assert samples.values.shape == (960, 3)
    assert samples.values[-1].tolist() == [3, 3, 3]
    assert samples.stamp.index == 959


def test_a_lost_datagram_is_a_gap_in_time(source: UdpSource, sender: Sender) -> None:
    sender.send(240)
    sender.seq += 1
    sender.send(240)

    samples = source.read()

    assert samples is not None
    assert samples.times_s[-1] - samples.times_s[0] == pytest.approx(719 / 25_600)
    assert source.drops == {"lost": 1}


def test_a_flood_is_taken_in_parts(source: UdpSource, sender: Sender) -> None:
    for _ in range(udp.TOGETHER + 10):
        sender.send(1)

    sizes = [len(samples.values) for _ in range(2) if (samples := source.read())]

    assert sizes == [udp.TOGETHER, 10]


def test_only_the_named_sender_counts() -> None:
    source = opened(sender="127.0.0.9", clock=SteppingClock())
    stranger = Sender(source._listener.getsockname()[1])
    stranger.send(1)

    with pytest.raises(SourceLostError, match="no datagram for 5 s") as caught:
        source.read()
    source.close()
    stranger.socket.close()

    assert caught.value.code == "udp-silent"
    assert source.drops == {"stranger": 1}


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(
            DeviceError, match="address already in use, expected a port that nobody else uses"
        ) as caught:
            opened(port=other.getsockname()[1])
    assert caught.value.code == "udp-busy"


@pytest.mark.parametrize(("host", "code"), [("192.0.2.1", "udp-address"), ("no such name", "udp-failed")])
def test_an_address_that_is_none_of_this_box_is_told(host: str, code: str) -> None:
    with pytest.raises(DeviceError, match="cannot listen on UDP port") as caught:
        opened(host=host, port=free_port())
    assert caught.value.code == code


def test_a_small_buffer_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    opened(buffer_bytes=4096).close()

    assert [record.message for record in caplog.records] == ["buffer.small"]


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    source = opened(host="::1")
    source.close()

    assert repr(source).startswith("<UdpSource UDP port [::1]:")
    assert repr(source).endswith("closed, 0 samples, drops {}>")


def test_closing_ends_a_read_that_waits(source: UdpSource) -> None:
    got: list[Samples | None] = []
    reader = threading.Thread(target=lambda: got.append(source.read()))
    reader.start()

    source.close()
    reader.join(30)

    assert got == [None]
    assert source._listener.fileno() == -1
