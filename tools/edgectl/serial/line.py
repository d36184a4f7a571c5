"""A serial port as it is listened to, at one setting after the other, without ever being let go: opening it restarts many boards."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
import time
from contextlib import suppress

import serial

from edgectl.holders import step
from edgectl.serial.heard import Heard, Setting
from edgectl.serial.ports import Port
from edged.domain.errors import DeviceError, SourceLostError
from edged.sources.serial import number_of, why

POLL_S = 0.05
"""Between two looks for more bytes."""
MOST_BYTES, LEAST_S = 6000, 0.4
"""With so much, heard for so long, more would not tell more."""
TIOCGICOUNT = 0x545D
COUNTS = struct.Struct("20i")
FRAME, PARITY, BREAK = 6, 8, 9
"""Their places in the kernel's struct serial_icounter_struct (include/uapi/linux/serial.h)."""
PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
INSTEAD = "see what the daemon reads of it: edgectl watch, or its page"


class Line:
    """A port that this process alone has open."""

    def __init__(self, port: Port, setting: Setting) -> None:
        """Open it.

        Raises DeviceError: somebody else holds it (nobody's stream is touched then), or it cannot be opened.
        """
        if port.held:
            message = (
                f"cannot listen to {port.node}: {' and '.join(map(str, port.held))} reads it, expected a free port"
            )
            raise DeviceError(message, remedy=step(port.held, INSTEAD), code="serial-busy")
        self._port = port
        try:
            # pyserial takes its lock before it changes a setting: whoever has the port is not disturbed.
            self._device = serial.Serial(os.fspath(port.node), setting.baud, timeout=POLL_S, exclusive=True)
            fcntl.ioctl(self._device.fileno(), termios.TIOCEXCL)
        except (OSError, termios.error, ValueError) as error:
            raise _refused(port, error) from error

    def close(self) -> None:
        """Give the port back. May be called twice."""
        with suppress(OSError, termios.error, TypeError):
            fcntl.ioctl(self._device.fileno(), termios.TIOCNXCL)
        with suppress(OSError, termios.error):
            self._device.close()

    def listen(self, setting: Setting, patience_s: float, seconds: float) -> Heard:
        """Wait up to ``patience_s`` for the first byte, and gather up to ``seconds`` from there on.

        Raises SourceLostError when it is unplugged meanwhile, DeviceError when the port has no such setting.
        """
        self._set(setting)
        try:
            return self._gathered(setting, patience_s, seconds)
        except (OSError, termios.error) as error:  # pyserial's own error is an OSError
            message = f"cannot listen to {self._port.node} on: {why(error)}, expected bytes"
            raise SourceLostError(message, remedy="look at its plug and power", code="serial-lost") from error

    def _set(self, setting: Setting) -> None:
        device = self._device
        try:
            device.apply_settings(
                {"baudrate": setting.baud, "bytesize": setting.data_bits, "parity": PARITIES[setting.parity]}
            )
            device.reset_input_buffer()
        except (OSError, termios.error, ValueError) as error:
            message = f"cannot listen to {self._port.node} at {setting}: {why(error)}, expected a setting that it has"
            raise DeviceError(message, remedy="name another with --baud", code="serial-setting") from error

    def _gathered(self, setting: Setting, patience_s: float, seconds: float) -> Heard:
        device, before, began_s = self._device, self._faults(), time.monotonic()
        data = b""
        while not data and time.monotonic() - began_s < patience_s:
            data = device.read(1)
        first_s = last_s = time.monotonic()
        while data and (passed_s := time.monotonic() - first_s) < seconds:
            if len(data) >= MOST_BYTES and passed_s >= LEAST_S:
                break
            time.sleep(POLL_S)
            more = device.read(device.in_waiting)
            if more:
                data, last_s = data + more, time.monotonic()
        after = self._faults()
        faults = None if before is None or after is None else after - before
        return Heard(setting, data, last_s - first_s, time.monotonic() - began_s, faults)

    def _faults(self) -> int | None:
        """Give the driver's count of faulty characters since it was loaded; None where it keeps none (a pseudo-terminal)."""
        try:
            told = fcntl.ioctl(self._device.fileno(), TIOCGICOUNT, bytes(COUNTS.size))
        except OSError:
            return None
        counts = COUNTS.unpack(told)
        return int(counts[FRAME] + counts[PARITY] + counts[BREAK])


def _refused(port: Port, error: Exception) -> DeviceError:
    number = number_of(error)
    wanted, remedy, code = REFUSALS.get(
        number, ("a serial port", "edgectl serial list tells which there are", "device")
    )
    if number in {errno.EACCES, errno.EPERM} and port.access:
        remedy = port.access.removeprefix("no permission: ")
    return DeviceError(f"cannot listen to {port.node}: {why(error)}, expected {wanted}", remedy=remedy, code=code)


ABSENT = ("a device of this name", "edgectl serial list tells which there are", "serial-missing")
DENIED = ("permission", "add yourself to the device's group (dialout)", "serial-permission")
LOST = ("a device that answers", "look at its plug and power", "serial-lost")
BUSY = (
    "a free port",
    f"systemctl stop edged if it is the daemon's, or {INSTEAD}; sudo fuser -v names who holds it",
    "serial-busy",
)
REFUSALS: dict[int | None, tuple[str, str, str]] = {
    errno.ENOENT: ABSENT,
    errno.ENXIO: ABSENT,
    errno.ENODEV: ABSENT,
    errno.EIO: LOST,
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.EAGAIN: BUSY,
    errno.EBUSY: BUSY,
}
