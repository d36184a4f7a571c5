"""A GPIO line about events: active while one of them lasts, or for a while from its start."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edged.domain.errors import DeviceError

CONSUMER = "edged"
EXTRA = "install edged[gpio]"
_NS_PER_S = 1_000_000_000
_READING = threading.Lock()
"""A line has one holder at a time, and two actions may have the same interlock."""


class Relay:
    """Implements ``edged.sinks.actuate.Actuator``. The line is requested, inactive, at the first tick, and again after a failure.

    A daemon that was killed may have left it active: what the kernel makes of a line that nobody holds is the driver's choice.
    """

    def __init__(
        self, chip: Path, line: int, now_ns: Callable[[], int], *, active_low: bool, hold_s: float | None
    ) -> None:
        self._chip, self._line, self._now_ns = chip, line, now_ns
        self._active_low, self._hold_s = active_low, hold_s
        self._lasting: set[tuple[str, str]] = set()
        self._until_ns: int | None = None
        self._is_shown = False
        self._request: Any = None

    def do(self, document: Mapping[str, Any]) -> None:
        """Take note of an event's start or end. Raises DeviceError when the line does not follow."""
        source = str(document["pipeline"]), str(document["rule"])
        if self._hold_s is not None:
            self._until_ns = self._now_ns() + int(self._hold_s * _NS_PER_S)
        elif document["phase"] == "end":
            self._lasting.discard(source)
        else:
            self._lasting.add(source)
        self._show()

    def tick(self) -> float | None:
        """Let go once its time is over, and try again what failed; gives how long that still is."""
        if self._until_ns is not None and self._now_ns() >= self._until_ns:
            self._until_ns, self._is_shown = None, False
        if not self._is_shown:
            self._show()
        return None if self._until_ns is None else max(0.0, (self._until_ns - self._now_ns()) / _NS_PER_S)

    def close(self) -> None:
        """Make the line inactive and let it go."""
        self._lasting.clear()
        self._until_ns = None
        if self._request is not None:
            with suppress(DeviceError):
                self._show()
            self._let_go()

    def _show(self) -> None:
        is_active = bool(self._lasting) or self._until_ns is not None
        self._is_shown = False
        try:
            self._requested().set_value(self._line, line_value(active=is_active))
            self._is_shown = True
        except (OSError, ValueError) as error:
            self._let_go()
            message = f"cannot set line {self._line} of {self._chip}: {error}, expected an output that is free"
            raise DeviceError(message, remedy="gpioinfo shows the lines, and who holds them", code="gpio") from error

    def _requested(self) -> Any:
        if self._request is None:
            gpio = gpiod()
            settings = gpio.LineSettings(
                direction=gpio.line.Direction.OUTPUT,
                active_low=self._active_low,
                output_value=line_value(active=False),
            )
            self._request = gpio.request_lines(str(self._chip), consumer=CONSUMER, config={self._line: settings})
        return self._request

    def _let_go(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            with suppress(OSError):
                request.release()


def is_active(chip: Path, line: int, *, active_low: bool) -> bool:
    """Read an input. Raises DeviceError when it cannot be read."""
    gpio = gpiod()
    settings = gpio.LineSettings(direction=gpio.line.Direction.INPUT, active_low=active_low)
    try:
        with _READING, gpio.request_lines(str(chip), consumer=CONSUMER, config={line: settings}) as request:
            return bool(request.get_value(line) == line_value(active=True))
    except (OSError, ValueError) as error:
        message = f"cannot read line {line} of {chip}: {error}, expected an input that is free"
        raise DeviceError(message, remedy="gpioinfo shows the lines, and who holds them", code="gpio") from error


def line_value(*, active: bool) -> Any:
    """Give libgpiod's word for it."""
    value = gpiod().line.Value
    return value.ACTIVE if active else value.INACTIVE


def gpiod() -> Any:
    """Import libgpiod's binding; nobody without an action of this kind needs it. Raises DeviceError where it is absent."""
    try:
        module = importlib.import_module("gpiod")
        importlib.import_module("gpiod.line")
    except ImportError as error:
        message = "cannot use GPIO lines: gpiod is not installed, expected libgpiod's package"
        raise DeviceError(message, remedy=EXTRA, code="gpio") from error
    return module
