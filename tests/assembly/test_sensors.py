"""From tables of the configuration to sensors that are read."""

from __future__ import annotations

import socket
import struct
import wave
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edged.assembly.lines import feed_settings, is_lossless, opener
from edged.assembly.sensors import box_readings
from edged.config.sources import Source as Table
from edged.domain.errors import ConfigError, DeviceError
from edged.domain.frame import Samples
from edged.domain.ports import Source
from edged.fleet.settings import LinkSettings
from fakes.broker import FakeBroker
from fakes.brokers import free_port
from fakes.modbusdevice import device, switches, tcp_server, words
from fakes.realclock import RealClock
from fakes.serialline import Sensor, record
from fakes.waiting import until


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


def test_a_topic_table_subscribes_at_edgeds_own_broker() -> None:
    broker = FakeBroker()
    source = table(name="oven", kind="topic", topic="plant/oven", columns=["t"], fields=[{"name": "t", "scale": 0.1}])
    settings = LinkSettings("127.0.0.1", broker.port, "press-07")

    with closing(opener(source, RealClock(), broker=lambda: settings)()) as topic:
        broker.send("plant/oven", b'{"t": 215}')

        assert values(topic) == [[21.5]]
    broker.close()
    assert broker.subscribed == ["plant/oven"]
    assert b"press-07.oven" in broker.wills[0]


def test_a_topic_without_a_broker_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no broker is known here"):
        opened(table(name="oven", kind="topic", topic="plant/oven", columns=["t"]))


def test_a_system_table_reads_this_box() -> None:
    with closing(opened(table(name="s", kind="system", columns=["memory_total_mb", "load_1m"], rate_hz=100.0))) as box:
        assert values(box)[0][0] > 0


def test_readings_are_numbers_by_name(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("61500\n")
    pressure = tmp_path / "proc/pressure"
    pressure.mkdir(parents=True)
    (pressure / "cpu").write_text("some avg10=1.25 avg60=0.00 avg300=0.00 total=0\n")

    readings = box_readings(tmp_path)

    assert readings["temperature.cpu-thermal"] == readings["hottest_c"] == 61.5
    assert (readings["cpu_pressure.some_avg10"], readings["cpu_pressure.full_avg10"]) == (1.25, None)
    assert readings["io_pressure.some_avg10"] is readings["load_1m"] is readings["under_voltage"] is None


def test_a_udp_table_listens_on_its_port() -> None:
    port = free_port()
    source = table(
        name="u", kind="udp", listen=f"127.0.0.1:{port}", columns=["y"], channels=["x", "y"], rate_hz=100.0,
        header=[{"name": "seq", "type": "u8"}], byte_order="big", scale=0.5,
    )  # fmt: skip

    with closing(opened(source)) as udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(struct.pack(">Bhh", 1, 2, 4), ("127.0.0.1", port))

        assert values(udp) == [[2]]


def test_a_modbus_table_polls_its_registers(tmp_path: Path) -> None:
    port = free_port()
    server = tcp_server(device(holding=[words(0, 215)], others=[words(0, 1)], bits=[switches(True)]), port)
    registers = [
        {"name": "t", "address": 0, "scale": 0.1},
        {"name": "door", "address": 0, "table": "coil", "type": "bool"},
    ]
    keys = {"name": "m", "kind": "modbus", "columns": ["door", "t"], "registers": registers}

    with closing(opened(table(**keys, host="127.0.0.1", tcp_port=port))) as modbus:
        assert values(modbus) == [[1, 21.5]]
    server.close()
    with pytest.raises(DeviceError, match="absent at 19200 baud"):
        opened(table(**keys, port=tmp_path / "absent"))


def test_a_wav_table_plays_its_file_and_ends(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\x40")
    source = table(name="w", kind="wav", path=tmp_path / "a.wav")

    with closing(opened(source)) as wav:
        assert values(wav) == [[0.5]]
    assert feed_settings(source) == {"pace": "fast", "fps": None, "reopen": False}
    assert is_lossless(source)


def test_a_microphone_table_needs_portaudio_and_a_microphone() -> None:
    with pytest.raises(DeviceError) as caught:
        opened(table(name="mic", kind="microphone", device="no such microphone"))
    assert caught.value.code in {"library-missing", "microphone-missing"}


def test_a_join_table_opens_its_parts() -> None:
    broker = FakeBroker()
    parts = [
        {"name": "box", "kind": "system", "columns": ["memory_total_mb"], "rate_hz": 50.0},
        {"name": "oven", "kind": "topic", "topic": "plant/oven", "columns": ["t"]},
    ]
    source = table(name="j", kind="join", part=parts, rate_hz=10.0, method="nearest", max_wait_s=0.5, missing="nan")
    settings = LinkSettings("127.0.0.1", broker.port, "press-07")

    with closing(opener(source, RealClock(), broker=lambda: settings)()) as joined:
        until(lambda: broker.subscribed, "the topic is read")
        until(lambda: broker.send("plant/oven", b'{"t": 7}') or values(joined)[-1][1] == 7, "both are there")
    broker.close()


def test_parts_of_a_join_have_names_of_their_own() -> None:
    part = {"name": "box", "kind": "system", "columns": ["load_1m"]}
    with pytest.raises(ValidationError, match="'box' stands twice"):
        table(name="j", kind="join", part=[part, part], rate_hz=10.0)
    microphone = {"name": "mic", "kind": "microphone", "channels": [0, 1]}
    with closing(opened(table(name="j", kind="join", part=[part, microphone], rate_hz=10.0))) as joined:
        assert repr(joined).startswith("<JoinSource of box, mic: open")
