"""From tables of the configuration to sensors that are read."""

from __future__ import annotations

import struct
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edged.assembly.lines import feed_settings, opener
from edged.config.sources import Source as Table
from edged.domain.frame import Samples
from edged.domain.ports import Source
from fakes.serialline import Sensor, record


class RealClock:
    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    def synced(self) -> bool:
        return True


def table(**keys: Any) -> Any:
    return TypeAdapter(Table).validate_python(keys)


def opened(source: Any) -> Source:
    return opener(source, RealClock())()


def values(source: Source) -> list[list[float]]:
    samples = source.read()
    assert isinstance(samples, Samples)
    rows: list[list[float]] = samples.values.tolist()
    return rows


def test_a_serial_table_opens_its_port_with_its_layout(tmp_path: Path) -> None:
    fields = [{"name": "t", "type": "u32", "scale": 1e-6}, {"name": "x", "type": "i16", "scale": 0.5}]
    sensor = Sensor(tmp_path / "usb-sensor")
    source = table(
        name="s", kind="serial", port=sensor.port, format="binary", columns=["x"], fields=fields, time="t",
        sync="AA55", crc="crc32", byte_order="big",
    )  # fmt: skip

    with closing(opened(source)) as serial:
        sensor.send(record(struct.pack(">Ih", 1_000_000, 3), sync=b"\xaa\x55", crc="crc32", order="big"))

        assert values(serial) == [[1.5]]
    sensor.close()


def test_a_serial_table_of_text_reads_its_columns_in_order(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path / "usb-sensor")
    source = table(name="s", kind="serial", port=sensor.port, columns=["x", "y"], delimiter=";", rate_hz=10.0)

    with closing(opened(source)) as serial:
        sensor.send(b"\n1;2\n")

        assert values(serial) == [[1, 2]]
    sensor.close()


def test_a_live_sensor_is_opened_again_when_it_is_lost() -> None:
    assert feed_settings(table(name="s", kind="serial", port="/dev/x", columns=["x"])) == {}
