"""What every source keeps to, the fake included."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edged.domain.frame import Frame, Samples
from edged.domain.ports import Source
from edged.sources import camera, csv, images, serial, video
from edged.sources.layout import Column, Wanted
from edged.sources.mask import masked
from edged.sources.wire import Wire
from fakes.clock import FakeClock
from fakes.recording import write_pictures, write_rows, write_video
from fakes.serialline import Sensor
from fakes.source import FakeSource, picture


class RealClock:
    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    def synced(self) -> bool:
        return True


@dataclass(frozen=True)
class Case:
    name: str
    open: Callable[[Path], Source]
    is_finite: bool = True


class Fed:
    """A sensor source whose sensor speaks before each read."""

    def __init__(self, source: Source, sensor: Sensor, words: bytes) -> None:
        self._source, self._sensor, self._words = source, sensor, words

    def read(self) -> Frame | Samples | None:
        self._sensor.fill_once(self._words)
        return self._source.read()

    def close(self) -> None:
        self._source.close()

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
    return Fed(source, sensor, b"\n" + b"".join(b"%d\n" % i for i in range(20)))


CASES = [
    Case("fake", open_fake),
    Case("images", open_images),
    Case("video", open_video),
    Case("masked", open_masked),
    Case("csv", open_csv),
    Case("camera", open_camera, is_finite=False),
    Case("serial", open_serial, is_finite=False),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
def source(case: Case, tmp_path: Path) -> Source:
    return case.open(tmp_path)


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
    reader.join(5)

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
