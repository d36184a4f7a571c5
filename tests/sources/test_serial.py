"""A serial port on a pseudo-terminal, with everything that goes wrong on one."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Samples
from edged.pipeline.backoff import Backoff
from edged.pipeline.feed import Feed
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.window import Windower
from edged.sources import serial
from edged.sources.layout import Column, Wanted, in_order
from edged.sources.serial import SerialSource, open_source
from edged.sources.wire import Wire
from fakes.realclock import RealClock
from fakes.serialline import Sensor, record
from fakes.waiting import until

XY = Wanted(("x", "y"))
CSV = Wire("csv", in_order(XY), XY)
BINARY = Wire("binary", (Column("x", "i16"), Column("y", "i16")), XY, sync=b"\xaa\x55")


@dataclass
class SteppingClock(RealClock):
    """Moves on at each look."""

    step_ms: int = 500
    now_ns: int = 0

    def monotonic_ns(self) -> int:
        self.now_ns += self.step_ms * 1_000_000
        return self.now_ns


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    made = Sensor(tmp_path / "usb-Sensor_1234-if00")
    yield made
    made.close()


def opened(sensor: Sensor, wire: Wire = CSV, **settings: Any) -> SerialSource:
    return open_source(
        port=sensor.port, **{"clock": RealClock(), "wire": wire, "by_id": sensor.port.parent, **settings}
    )


def rows(source: SerialSource, count: int) -> list[list[float]]:
    got: list[list[float]] = []
    while len(got) < count:
        samples = source.read()
        assert samples is not None
        got += samples.values.tolist()
    return got


@contextmanager
def saying(sensor: Sensor, data: bytes) -> Iterator[None]:
    """Have it say so again and again, as long as the line takes it."""
    done = threading.Event()

    def talk() -> None:
        while not done.wait(0.002):
            sensor.fill_once(data)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        yield
    finally:
        done.set()
        talker.join()


def test_lines_become_samples(sensor: Sensor) -> None:
    with closing(opened(sensor)) as source:
        began_ns = time.monotonic_ns()
        sensor.send(b"\n1,2\r\n3.5,-4\r\n")

        samples = source.read()

    assert isinstance(samples, Samples)
    assert samples.values.dtype == np.float32
    assert samples.values.tolist() == [[1, 2], [3.5, -4]]
    assert samples.stamp.index == 1
    assert began_ns <= samples.stamp.mono_ns <= time.monotonic_ns()


def test_a_line_that_comes_in_parts_is_one_sample(sensor: Sensor) -> None:
    with closing(opened(sensor)) as source:
        reader = threading.Thread(target=lambda: got.extend(rows(source, 1)))
        got: list[list[float]] = []
        reader.start()
        for part in (b"\n1", b"2,", b"34", b"\n"):
            until(lambda: source._device.in_waiting == 0, "the part before was read")
            sensor.send(part)
        reader.join(30)

    assert got == [[12, 34]]


def test_what_waited_before_it_was_opened_is_forgotten(sensor: Sensor) -> None:
    sensor.send(b"\n1,1\n")
    with closing(opened(sensor)) as source:
        sensor.send(b"\n2,2\n")

        assert rows(source, 1) == [[2, 2]]


def test_records_are_found_between_noise(sensor: Sensor) -> None:
    good = [record(struct.pack("<hh", i, -i), sync=b"\xaa\x55") for i in range(5)]
    with closing(opened(sensor, BINARY)) as source:
        sensor.send(b"\xff\x00\xaa" + good[0] + good[1][:4] + b"\xaa\x55\x04" + good[2] + good[3] + b"\x99" + good[4])

        assert rows(source, 4) == [[0, 0], [2, -2], [3, -3], [4, -4]]
        assert source.drops["malformed"] == 3


def test_a_port_has_one_user_at_a_time(sensor: Sensor) -> None:
    with closing(opened(sensor)), pytest.raises(DeviceError, match="expected a port that nobody uses") as caught:
        opened(sensor)
    assert caught.value.code == "serial-busy"

    opened(sensor).close()


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [("nowhere", "serial-missing", "no such file"), ("file", "serial-failed", "expected a serial port")],
)
def test_what_is_no_port_is_named_with_what_is_there(tmp_path: Path, name: str, code: str, text: str) -> None:
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    (by_id / "usb-Sensor").symlink_to("/dev/null")
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(DeviceError, match=text) as caught:
        open_source(port=tmp_path / name, clock=RealClock(), wire=CSV, by_id=by_id)

    assert caught.value.code == code
    if code == "serial-missing":
        assert "usb-Sensor" in caught.value.remedy


def test_a_rate_that_cannot_be_is_the_operators_to_mend(sensor: Sensor) -> None:
    with pytest.raises(ConfigError, match="expected settings that the port can do"):
        opened(sensor, stop_bits=7)


def test_an_unplugged_sensor_is_lost(sensor: Sensor) -> None:
    with closing(opened(sensor)) as source:
        sensor.send(b"\n1,2\n")
        rows(source, 1)
        sensor.unplug()

        with pytest.raises(SourceLostError, match=r"cannot read serial port .* on") as caught:
            rows(source, 1)

    assert caught.value.code == "serial-lost"


def test_a_sensor_unplugged_within_a_read_is_lost(sensor: Sensor) -> None:
    with closing(opened(sensor)) as source:
        threading.Timer(0.05, sensor.unplug).start()

        with pytest.raises(SourceLostError):
            source.read()


def test_a_sensor_with_a_known_rate_that_says_nothing_is_lost(sensor: Sensor) -> None:
    source = opened(sensor, clock=SteppingClock(3000), rate_hz=200.0)

    with (
        closing(source),
        pytest.raises(SourceLostError, match="no byte for 5 s, expected lines of 2 numbers") as caught,
    ):
        source.read()

    assert caught.value.code == "serial-silent"


@pytest.mark.parametrize(
    ("noise", "wire", "code"),
    [
        (bytes(range(128, 256)) + b"\n", CSV, "wrong-baud"),
        (b"T=21.5 H=40\n", CSV, "wrong-format"),
        (bytes(range(128, 256)), BINARY, "wrong-baud"),
    ],
)
def test_a_line_that_makes_no_sense_for_five_seconds_tells_the_likely_cause(
    sensor: Sensor, noise: bytes, wire: Wire, code: str
) -> None:
    with (
        closing(opened(sensor, wire, clock=SteppingClock(), garbage_bytes=1 << 30)) as source,
        saying(sensor, noise),
        pytest.raises(SourceLostError, match="100% of its bytes are no frame") as caught,
    ):
        source.read()

    assert caught.value.code == code
    assert "baud" in caught.value.remedy or "format" in caught.value.remedy


def test_garbage_beyond_its_budget_is_told_at_once(sensor: Sensor) -> None:
    with closing(opened(sensor, BINARY, garbage_bytes=256)) as source:
        sensor.send(b"\x80" * 1000)

        with pytest.raises(SourceLostError) as caught:
            source.read()

    assert caught.value.code == "serial-garbage"


def test_after_an_overrun_the_next_whole_line_is_a_sample(sensor: Sensor) -> None:
    with closing(opened(sensor)) as source:
        sensor.fill(b"\n1,2\n3")  # nobody reads: the kernel's buffer runs over in the middle of a line
        until(lambda: sensor.fill(b"x") == 0, "the line is full")

        with saying(sensor, b"\n5,6\n"):
            until(lambda: [5, 6] in rows(source, 1), "a line behind the overrun came")
    assert source.drops["malformed"] >= 1


def test_a_sensor_that_goes_while_it_is_closed_is_no_loss(sensor: Sensor) -> None:
    source = opened(sensor)
    with source._closing:  # as a read does
        source.close()
        sensor.unplug()

        assert source._bytes() == b""


def test_closing_wakes_a_read_that_waits(sensor: Sensor) -> None:
    source = opened(sensor)
    got: list[Samples | None] = []
    reader = threading.Thread(target=lambda: got.append(source.read()))
    reader.start()

    source.close()
    reader.join(30)

    assert got == [None]
    assert not source._device.is_open
    assert source.read() is None


def test_it_says_how_it_is(sensor: Sensor) -> None:
    source = opened(sensor)
    sensor.send(b"\n1,2\nnoise\n3,4\n")
    rows(source, 2)

    assert repr(source) == (
        f"<SerialSource serial port {sensor.port} at 115200 baud: open, 2 samples, <LineQuality 38% errors>, drops {{'malformed': 1}}>"
    )
    source.close()
    assert ": closed" in repr(source)


def test_a_name_that_moves_is_warned_of_with_the_one_that_stays(
    sensor: Sensor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    moving = tmp_path / "dev" / "ttyUSB0"
    moving.parent.mkdir()
    moving.symlink_to(sensor.port.resolve())

    open_source(port=moving, clock=RealClock(), wire=CSV, by_id=sensor.port.parent).close()
    open_source(port=moving, clock=RealClock(), wire=CSV, by_id=tmp_path / "none").close()

    remedies = [record.fields["remedy"] for record in caplog.records if record.message == "port.name-moves"]
    assert remedies == [f"name it {sensor.port}", f"name it by {tmp_path / 'none'}"]


def test_a_sensor_that_comes_back_is_read_again(sensor: Sensor) -> None:
    box = Mailbox()
    feed = Feed(
        "spindle",
        lambda: opened(sensor),
        RealClock(),
        readers=[Reader(box, Windower(2, 2, 2))],
        backoff=Backoff(first_s=0.01, limit_s=0.02),
    )
    feed.start()
    until(lambda: feed.state.condition == "live", "the port is open")
    until(lambda: sensor.send(b"\n1,2\n3,4\n") and box.take(0.05), "a window came")

    sensor.unplug()
    until(lambda: feed.state.condition == "lost", "the loss was noticed")
    assert feed.state.error is not None
    sensor.plug()

    until(lambda: sensor.send(b"\n5,6\n7,8\n") and box.take(0.05), "a window came again")
    feed.stop()
    assert feed.join(30)
    assert Path("/dev/serial/by-id") == serial.BY_ID
