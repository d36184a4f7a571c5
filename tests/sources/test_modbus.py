"""A real Modbus device, over TCP on loopback and over RTU on joined pseudo-terminals."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from statistics import median
from typing import Any

import numpy as np
import pytest

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Samples
from edged.sources.modbus import ModbusSource, RtuLine, TcpLine, open_source
from edged.sources.registers import Register
from fakes.brokers import free_port
from fakes.modbusdevice import ModbusServer, RtuServer, device, switches, tcp_server, words
from fakes.realclock import RealClock

HALF = struct.unpack(">2H", struct.pack(">f", 0.5))
NAN = struct.unpack(">2H", struct.pack(">f", float("nan")))
SIMULATED = {
    "holding": [words(0, 215, 0xFFFF, *HALF, *NAN)],
    "others": [words(10, 7)],
    "bits": [switches(True, False, True)],
}
REGISTERS = [
    Register("temperature", 0, scale=0.1),
    Register("flow", 2, type="f32"),
    Register("level", 10, "input"),
    Register("alarm", 2, "coil", "bool"),
    Register("door", 1, "discrete", "bool"),
]
ROW = [21.5, 0.5, 7.0, 1.0, 0.0]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int) -> Iterator[ModbusServer]:
    made = tcp_server(device(**SIMULATED), port)
    yield made
    made.close()


def opened(port: int, registers: list[Register] | None = None, **settings: Any) -> ModbusSource:
    settings = {"rate_hz": 1000.0, "timeout_s": 20.0, **settings}
    return open_source(line=TcpLine("127.0.0.1", port), clock=RealClock(), registers=registers or REGISTERS, **settings)


@pytest.mark.usefixtures("server")
def test_registers_become_a_sample(port: int) -> None:
    with closing(opened(port)) as source:
        samples = [source.read() for _ in range(3)]

    assert all(isinstance(one, Samples) for one in samples)
    assert [one.values.tolist() for one in samples if one] == [[pytest.approx(ROW)]] * 3
    assert [one.stamp.index for one in samples if one] == [0, 1, 2]
    assert repr(source) == f"<ModbusSource Modbus device 1 at 127.0.0.1:{port}: closed, 3 samples, drops {{}}>"


def test_the_same_over_a_serial_line() -> None:
    server = RtuServer(device(**SIMULATED))
    line = RtuLine(server.port, parity="none")

    with closing(open_source(line=line, clock=RealClock(), registers=REGISTERS, rate_hz=100.0)) as source:
        samples = source.read()
    server.close()

    assert samples is not None
    assert samples.values.tolist() == [pytest.approx(ROW)]
    assert f"{server.port} at 19200 baud" in repr(source)


@pytest.mark.usefixtures("server")
def test_polls_come_at_their_rate(port: int) -> None:
    with closing(opened(port, rate_hz=50.0)) as source:
        times = [samples.stamp.source_s for _ in range(22) if (samples := source.read())]

    # A busy machine makes some of them late.
    assert median(np.diff(times)) == pytest.approx(0.02, rel=0.5)


@pytest.mark.usefixtures("server")
def test_registers_that_the_device_does_not_have_are_the_operators_to_mend(port: int) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot read holding 900 to 900 of Modbus device 1 at .* illegal address"
    ) as caught:
        opened(port, [Register("x", 900)])
    assert "count from 0" in caught.value.remedy


@pytest.mark.usefixtures("server")
def test_a_device_that_has_no_number_there_is_told(port: int) -> None:
    with closing(opened(port, [Register("x", 4, type="f32"), Register("y", 0)])) as source:
        with pytest.raises(
            SourceLostError, match=r"cannot read x of Modbus device 1 .* no number in 10 polls"
        ) as caught:
            source.read()
        assert source.drops == {"malformed": 10}
    assert caught.value.code == "modbus-no-number"


def test_nobody_there_is_a_device_error(port: int) -> None:
    with pytest.raises(DeviceError, match=f"cannot connect to Modbus device 1 at 127.0.0.1:{port}") as caught:
        opened(port)
    assert caught.value.code == "modbus-unreachable"


def test_a_serial_port_that_is_not_there_is_a_device_error() -> None:
    with pytest.raises(DeviceError) as caught:
        open_source(line=RtuLine("/dev/serial/by-id/absent"), clock=RealClock(), registers=REGISTERS)
    assert caught.value.code == "modbus-unreachable"


@pytest.mark.usefixtures("server")
def test_another_device_on_the_line_that_does_not_answer_is_a_device_error(port: int) -> None:
    with pytest.raises(DeviceError) as caught:
        opened(port, unit=9, timeout_s=0.3)
    assert caught.value.code in {"modbus-silent", "modbus-exception"}


def test_a_device_that_goes_away_is_lost_and_can_be_opened_again(port: int) -> None:
    server = tcp_server(device(**SIMULATED), port)
    with closing(opened(port)) as source:
        source.read()
        server.close()

        with pytest.raises(SourceLostError, match="expected an answer") as caught:
            source.read()
    assert caught.value.code == "modbus-silent"

    server = tcp_server(device(**SIMULATED), port)
    with closing(opened(port)) as source:
        assert source.read() is not None
    server.close()


@pytest.mark.usefixtures("server")
def test_closing_ends_a_read_that_waits(port: int) -> None:
    source = opened(port, rate_hz=0.01)
    source.read()
    got: list[Samples | None] = []
    reader = threading.Thread(target=lambda: got.append(source.read()))
    reader.start()

    source.close()
    reader.join(30)

    assert got == [None]
    assert source.read() is None
