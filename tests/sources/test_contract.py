"""What every source keeps to, the fake included."""

from __future__ import annotations

import socket
import struct
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edged.domain.frame import Frame, Samples
from edged.domain.ports import Source
from edged.fleet.settings import LinkSettings
from edged.sources import camera, csv, images, join, modbus, serial, system, topic, udp, video, wav
from edged.sources.datagram import DatagramLayout
from edged.sources.layout import Column, Wanted
from edged.sources.mask import masked
from edged.sources.registers import Register
from edged.sources.wire import Wire
from fakes.broker import FakeBroker
from fakes.brokers import free_port
from fakes.clock import FakeClock
from fakes.modbusdevice import device, switches, tcp_server, words
from fakes.realclock import RealClock
from fakes.recording import write_pictures, write_rows, write_video
from fakes.serialline import Sensor
from fakes.source import FakeSource, picture


@dataclass(frozen=True)
class Case:
    name: str
    open: Callable[[Path], Source]
    is_finite: bool = True


class Fed:
    """A live sensor's source whose sensor speaks before each read, and goes away with it."""

    def __init__(self, source: Source, speak: Callable[[], object], go: Callable[[], object]) -> None:
        self._source, self._speak, self._go = source, speak, go
        self._lock = threading.Lock()
        self._is_closed = False

    def read(self) -> Frame | Samples | None:
        with self._lock, suppress(OSError):  # a source that was closed just now has hung up
            if not self._is_closed:
                self._speak()
        return self._source.read()

    def close(self) -> None:
        self._source.close()
        with self._lock:
            if not self._is_closed:
                self._go()
            self._is_closed = True

    def __repr__(self) -> str:
        return repr(self._source)


def open_fake(_: Path) -> Source:
    return FakeSource([picture(i) for i in range(5)])


def open_images(folder: Path) -> Source:
    return images.open_source(path=write_pictures(folder / "pictures", 5), clock=RealClock())


def open_video(folder: Path) -> Source:
    return video.open_source(path=write_video(folder / "v.mp4"), clock=RealClock())


def open_masked(folder: Path) -> Source:
    return masked(open_video(folder), [[(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)]])


def open_csv(folder: Path) -> Source:
    rows = ["x,y", *(f"{i},{-i}" for i in range(200))]
    return csv.open_source(path=write_rows(folder / "s.csv", rows), clock=RealClock(), columns=["x", "y"], rate_hz=100)


def open_camera(_: Path) -> Source:
    device = "testsrc=size=64x48:rate=200,realtime"
    return camera.open_source(url=device, libav_format="lavfi", clock=RealClock())


def open_serial(folder: Path) -> Source:
    sensor = Sensor(folder / "usb-sensor")
    source = serial.open_source(
        port=sensor.port, clock=RealClock(), rate_hz=1000.0, wire=Wire("csv", (Column("x"),), Wanted(("x",)))
    )
    words = b"\n" + b"".join(b"%d\n" % i for i in range(20))
    return Fed(source, lambda: sensor.fill_once(words), lambda: None)


def open_udp(_: Path) -> Source:
    layout = DatagramLayout((("sample", "u32"),), channels=1, taken=(0,))
    source = udp.open_source(host="127.0.0.1", port=0, clock=RealClock(), layout=layout, rate_hz=1000.0)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    count = iter(range(0, 1_000_000, 20))
    to = source._listener.getsockname()
    return Fed(source, lambda: sender.sendto(struct.pack("<I20h", next(count), *range(20)), to), sender.close)


def open_topic(_: Path) -> Source:
    broker = FakeBroker()
    source = topic.open_source(
        broker=LinkSettings("127.0.0.1", broker.port, "press-07"),
        subscription=topic.Subscription("a/b"),
        clock=RealClock(),
        fields=(Column("$"),),
        wanted=Wanted(("$",)),
        client_id="a",
    )
    return Fed(source, lambda: broker.send("a/b", b"7"), broker.close)


def open_modbus(_: Path) -> Source:
    port = free_port()
    server = tcp_server(device(holding=[words(0, 7)], others=[words(0, 7)], bits=[switches(True)]), port)
    line = modbus.TcpLine("127.0.0.1", port)
    source = modbus.open_source(line=line, clock=RealClock(), registers=[Register("x", 0)], rate_hz=500.0)
    return Fed(source, lambda: None, server.close)


def open_system(_: Path) -> Source:
    return system.open_source(read=lambda: {"x": 1.0}, clock=RealClock(), columns=["x"], rate_hz=500.0)


def open_wav(folder: Path) -> Source:
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2000))
    return wav.open_source(path=folder / "a.wav", clock=RealClock())


def open_join(folder: Path) -> Source:
    parts = [join.Part(name, 1, lambda: open_system(folder)) for name in "ab"]
    return join.open_source(parts=parts, clock=RealClock(), rate_hz=200.0)


CASES = [
    Case("fake", open_fake),
    Case("images", open_images),
    Case("video", open_video),
    Case("masked", open_masked),
    Case("csv", open_csv),
    Case("camera", open_camera, is_finite=False),
    Case("serial", open_serial, is_finite=False),
    Case("udp", open_udp, is_finite=False),
    Case("topic", open_topic, is_finite=False),
    Case("modbus", open_modbus, is_finite=False),
    Case("system", open_system, is_finite=False),
    Case("wav", open_wav),
    Case("join", open_join, is_finite=False),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
def source(case: Case, tmp_path: Path) -> Iterator[Source]:
    made = case.open(tmp_path)
    yield made
    made.close()


def some(source: Source, most: int = 30) -> list[Frame | Samples]:
    items = []
    while len(items) < most and (item := source.read()) is not None:
        items.append(item)
    source.close()
    return items


def test_what_it_gives_is_a_picture_or_samples(source: Source) -> None:
    for item in some(source):
        if isinstance(item, Frame):
            assert item.data.dtype == np.uint8
            assert item.data.ndim == 3
            assert item.data.shape[2] == 3
        else:
            assert item.values.dtype == np.float32
            assert item.times_s.dtype == np.float64
            assert len(item.values) == len(item.times_s)
            assert item.times_s[-1] == item.stamp.source_s


def test_numbers_count_up_without_a_gap_from_the_first(source: Source) -> None:
    expected = -1
    for item in some(source):
        expected += len(item.values) if isinstance(item, Samples) else 1
        assert item.stamp.index == expected


def test_the_sources_own_time_only_grows(source: Source) -> None:
    times_s: list[float] = []
    for item in some(source):
        times_s += list(item.times_s) if isinstance(item, Samples) else [item.stamp.source_s]

    assert len(times_s) >= 5
    assert all(a < b for a, b in pairwise(times_s))


def test_what_was_given_is_not_changed_by_later_reads(source: Source) -> None:
    first = source.read()
    assert first is not None
    data = first.data if isinstance(first, Frame) else first.values
    before = data.copy()

    some(source, 10)

    assert np.array_equal(data, before)


def test_the_end_of_a_finite_source_stays_the_end(case: Case, source: Source) -> None:
    if not case.is_finite:
        pytest.skip("has no end")
    while source.read() is not None:
        pass

    assert source.read() is None
    assert source.read() is None


def test_it_can_be_closed_twice_and_gives_nothing_more(source: Source) -> None:
    source.read()

    source.close()
    source.close()

    assert source.read() is None


def test_it_can_be_closed_while_another_thread_reads(source: Source) -> None:
    def read_on() -> None:
        while source.read() is not None:
            pass

    reader = threading.Thread(target=read_on)
    reader.start()

    source.close()
    reader.join(30)

    assert not reader.is_alive()


def test_its_repr_is_one_line(source: Source) -> None:
    source.read()

    assert "\n" not in repr(source)
    source.close()


def test_a_stamp_carries_the_clocks_times(tmp_path: Path) -> None:
    clock = FakeClock()
    source = images.open_source(path=write_pictures(tmp_path / "pictures", 1), clock=clock)

    item = source.read()

    assert item is not None
    assert (item.stamp.mono_ns, item.stamp.wall_ns) == (clock.mono, clock.wall)
