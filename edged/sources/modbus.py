"""Registers of Modbus devices, over TCP or a serial line (RTU), through pymodbus."""

from __future__ import annotations

import logging
import math
import termios
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusException

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock
from edged.sources.closing import Closing
from edged.sources.registers import Register, Request, plan, value_of

NS_PER_S = 1_000_000_000

TIMEOUT_S = 1.0
"""Devices answer within 100 ms; a gateway that waits for its serial side takes longer."""

RETRIES = 1
"""A frame that noise spoiled is asked for once more before the device counts as lost."""

ABSENT_ROUNDS = 10
"""So many polls in a row without a number where one is wanted, and the device has none."""

_REFUSED_FOR_GOOD = {1: "illegal function", 2: "illegal address", 3: "illegal value"}
"""Modbus Application Protocol 1.1b3, 7: the request itself is wrong. All other exceptions may pass."""

_FAILURES = (ModbusException, OSError, termios.error)
"""What pymodbus raises, and what it lets through of sockets and serial ports."""


@dataclass(frozen=True, slots=True)
class TcpLine:
    """A device or gateway in the network."""

    host: str
    port: int = 502

    def __str__(self) -> str:
        """Give the address for people."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RtuLine:
    """A serial line with devices on it; the rules of Modbus over Serial Line 1.02 give the defaults."""

    port: str
    baud: int = 19_200
    parity: Literal["none", "even", "odd"] = "even"
    stop_bits: int = 1

    def __str__(self) -> str:
        """Give the port for people."""
        return f"{self.port} at {self.baud} baud"


def open_source(
    *,
    line: TcpLine | RtuLine,
    clock: Clock,
    registers: Sequence[Register],
    unit: int = 1,
    rate_hz: float = 1.0,
    timeout_s: float = TIMEOUT_S,
) -> ModbusSource:
    """Connect and poll once.

    Args:
        line: where the device is.
        clock: stamps the polls.
        registers: the channels, in the model's order.
        unit: the device's number on its line.
        rate_hz: polls a second.
        timeout_s: how long an answer may take.

    Raises:
        ConfigError: the device does not have these registers, or they make no sense.
        DeviceError: no connection, or no answer.
    """
    requests = plan(registers)
    # What goes wrong is told by edged, once; pymodbus would write it to standard error, each time.
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL + 1)
    device = _Device(_client(line, timeout_s), line, unit, requests)
    source = ModbusSource(device, clock, registers, rate_hz)
    try:
        device.connect()
        device.poll()
    except (ConfigError, DeviceError):
        source.close()
        raise
    return source


class ModbusSource:
    """One sample a poll. A poll with a number that is none (NaN) is left out and counted in ``drops`` as ``malformed``.

    ``wait`` waits for so many seconds, and returns True at once when the source was closed; for tests.
    """

    def __init__(
        self,
        device: _Device,
        clock: Clock,
        registers: Sequence[Register],
        rate_hz: float,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.drops: Counter[str] = Counter()
        self._device = device
        self._clock = clock
        self._registers = tuple(registers)
        self._step_ns = int(NS_PER_S / rate_hz)
        self._closing = Closing(device.close)
        self._wait = wait or self._closing.wait
        self._due_ns = clock.monotonic_ns()
        self._samples = 0

    def read(self) -> Samples | None:
        """Wait until the next poll is due; None after ``close``.

        Raises:
            SourceLostError: the connection is gone, the device does not answer or refuses, or has no numbers.
        """
        with self._closing:
            try:
                return self._next()
            except (ConfigError, DeviceError) as error:
                if self._closing.is_asked:
                    return None
                raise SourceLostError(str(error.args[0]), remedy=error.remedy, code=error.code) from error

    def close(self) -> None:
        """Hang up: at once, or as soon as a read in another thread has its answer."""
        self._closing.ask()

    def __repr__(self) -> str:
        """Say which device it is."""
        return f"<ModbusSource {self._device}: {self._closing!r}, {self._samples} samples, drops {dict(self.drops)}>"

    def _next(self) -> Samples | None:
        for _ in range(ABSENT_ROUNDS):
            if self._wait(max(0, self._due_ns - self._clock.monotonic_ns()) / NS_PER_S) or self._closing.is_asked:
                return None
            answers = self._device.poll()
            now_ns = self._clock.monotonic_ns()
            # A poll that comes late is none to be caught up with.
            self._due_ns = max(self._due_ns + self._step_ns, now_ns)
            values = [value_of(register, answers) for register in self._registers]
            with np.errstate(over="ignore"):
                row = np.array([values]).astype(np.float32)
            if np.isfinite(row).all():
                return self._sample(row, now_ns)
            self.drops["malformed"] += 1
        absent = [one.name for one, value in zip(self._registers, values, strict=True) if not math.isfinite(value)]
        message = f"cannot read {', '.join(absent)} of {self._device}: no number in {ABSENT_ROUNDS} polls, expected one"
        raise DeviceError(message, remedy="look at type and word_order, and at the device", code="modbus-no-number")

    def _sample(self, row: Any, now_ns: int) -> Samples:
        now_s = now_ns / NS_PER_S
        stamp = Stamp(self._samples, now_ns, self._clock.wall_ns(), now_s)
        self._samples += 1
        return Samples(row, np.array([now_s]), stamp)


class _Device:
    """A device's registers, read by the plan."""

    def __init__(self, client: Any, line: TcpLine | RtuLine, unit: int, requests: Sequence[Request]) -> None:
        self._client = client
        self._line = line
        self._unit = unit
        self._requests = requests
        self._calls: dict[str, Callable[..., Any]] = {
            "holding": client.read_holding_registers,
            "input": client.read_input_registers,
            "coil": client.read_coils,
            "discrete": client.read_discrete_inputs,
        }

    def connect(self) -> None:
        """Raise DeviceError when there is no connection."""
        try:
            is_there = self._client.connect()
        except _FAILURES as error:
            raise self._fault(error, "connect to", "modbus-unreachable") from error
        if not is_there:
            why = "nobody answers"
            raise self._fault(why, "connect to", "modbus-unreachable")

    def poll(self) -> dict[tuple[Any, int], int]:
        """Read every register of the plan.

        Raises:
            ConfigError: the device says that the request itself is wrong.
            DeviceError: no answer, or another refusal.
        """
        answers: dict[tuple[Any, int], int] = {}
        for request in self._requests:
            words = self._ask(request)
            answers.update(((request.kind, request.address + i), int(word)) for i, word in enumerate(words))
        return answers

    def close(self) -> None:
        """Hang up. May be called twice."""
        self._client.close()

    def __str__(self) -> str:
        return f"Modbus device {self._unit} at {self._line}"

    def _ask(self, request: Request) -> Sequence[int]:
        try:
            answer = self._calls[request.kind](request.address, count=request.count, device_id=self._unit)
        except _FAILURES as error:
            raise self._fault(error, "read", "modbus-silent") from error
        where = f"read {request.kind} {request.address} to {request.address + request.count - 1} of"
        if answer.isError():
            code = int(answer.exception_code)
            if code in _REFUSED_FOR_GOOD:
                message = f"cannot {where} {self}: it answered {_REFUSED_FOR_GOOD[code]}, expected these registers"
                raise ConfigError(message, remedy="addresses count from 0: manuals' 40001 is holding 0")
            why = f"it answered exception {code}"
            raise self._fault(why, where, "modbus-exception")
        words: Sequence[int] = answer.bits if request.kind in {"coil", "discrete"} else answer.registers
        if len(words) < request.count:
            why = f"{len(words)} values came"
            raise self._fault(why, where, "modbus-silent")
        return words[: request.count]

    def _fault(self, why: Exception | str, verb: str, code: str) -> DeviceError:
        text = " ".join(str(why).split()) or type(why).__name__
        message = f"cannot {verb} {self}: {text}, expected an answer"
        remedy = "look at the device's power, its number and the line's settings"
        return DeviceError(message, remedy=remedy, code=code)


def _client(line: TcpLine | RtuLine, timeout_s: float) -> Any:
    if isinstance(line, TcpLine):
        return ModbusTcpClient(line.host, port=line.port, timeout=timeout_s, retries=RETRIES)
    return ModbusSerialClient(
        line.port,
        baudrate=line.baud,
        parity=line.parity[0].upper(),
        stopbits=line.stop_bits,
        timeout=timeout_s,
        retries=RETRIES,
    )
