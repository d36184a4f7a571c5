"""A text on a serial line about an event."""

from __future__ import annotations

import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import serial

from edged.domain.errors import DeviceError

WRITE_S = 2.0
"""What a line that is stuck (flow control, a modem that is gone) may take."""


class SerialText:
    """Implements ``edged.sinks.actuate.Actuator``. The port is opened for the first text, and again after a failure."""

    def __init__(self, port: Path, baud: int, text: str, device: str) -> None:
        self._port, self._baud, self._text, self._device = port, baud, text, device
        self._open: serial.Serial | None = None

    def do(self, document: Mapping[str, Any]) -> None:
        """Write it. Raises DeviceError when the line does not take it."""
        named = {name: str(document[name]) for name in ("pipeline", "rule", "phase")}
        text = self._text.format(device=self._device, **named).encode()
        was_open = self._open is not None
        error = self._failed(text)
        if was_open and error is not None and not isinstance(error, serial.SerialTimeoutException):
            # An adapter that was plugged anew since: what was open leads nowhere, and the port is there.
            error = self._failed(text)
        if error is not None:
            why = " ".join(str(error).split())
            message = f"cannot write to {self._port}: {why}, expected a serial line that takes {len(text)} characters"
            raise DeviceError(
                message, remedy="edgectl serial list shows the ports, and who holds them", code="serial"
            ) from error

    def tick(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Let the port go."""
        held, self._open = self._open, None
        if held is not None:
            held.close()

    def _failed(self, text: bytes) -> Exception | None:
        """Try once; gives what went wrong, None when nothing did."""
        try:
            if self._open is None:
                self._open = serial.Serial(str(self._port), self._baud, write_timeout=WRITE_S, exclusive=True)
            self._open.write(text)
            self._open.flush()
        except (
            OSError,
            ValueError,
            termios.error,
        ) as error:  # serial.SerialException is an OSError, termios.error is none
            self.close()
            return error
        return None
