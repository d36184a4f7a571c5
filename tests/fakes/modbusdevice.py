"""A real Modbus server, on loopback or on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import threading
import tty
from typing import Any

from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def device(*, holding: list[SimData], others: list[SimData], bits: list[SimData]) -> SimDevice:
    return SimDevice(1, (bits, bits, holding, others))


def words(address: int, *values: int) -> SimData:
    return SimData(address, values=list(values), datatype=DataType.REGISTERS)


def switches(*values: bool) -> SimData:
    return SimData(0, values=list(values), datatype=DataType.BITS)


class ModbusServer:
    """Runs in a thread of its own until it is closed."""

    def __init__(self, make: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(self._start(make))

    def close(self) -> None:
        self._run(self._server.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self, make: Any) -> Any:
        server = make()
        await server.serve_forever(background=True)
        return server

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


def tcp_server(simulated: SimDevice, port: int) -> ModbusServer:
    return ModbusServer(lambda: ModbusTcpServer(simulated, address=("127.0.0.1", port)))


class RtuServer:
    """``port`` is the client's end of two pseudo-terminals that are joined back to back."""

    def __init__(self, simulated: SimDevice) -> None:
        (self._near, near_slave), (self._far, far_slave) = pty.openpty(), pty.openpty()
        self._slaves = (near_slave, far_slave)
        for slave in self._slaves:
            tty.setraw(slave)
        self.port = os.ttyname(near_slave)
        self._pumps = [
            threading.Thread(target=self._pump, args=ends, daemon=True)
            for ends in ((self._near, self._far), (self._far, self._near))
        ]
        for pump in self._pumps:
            pump.start()
        self._server = ModbusServer(lambda: ModbusSerialServer(simulated, port=os.ttyname(far_slave), baudrate=19_200))

    def close(self) -> None:
        self._server.close()
        for slave in self._slaves:
            os.close(slave)
        for pump in self._pumps:  # the other end of a pseudo-terminal that nobody holds reads as an error
            pump.join(30)
        for master in (self._near, self._far):
            os.close(master)

    def _pump(self, source: int, target: int) -> None:
        while True:
            try:
                data = os.read(source, 1024)
                os.write(target, data)
            except OSError:
                return
