"""libgpiod's binding on a chip that there is not: this machine has no GPIO, and its kernel no simulator.

Names and behaviour are those of gpiod 2 (https://libgpiod.readthedocs.io/en/latest/python_api.html), as far as edged uses them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, TracebackType
from typing import Any

import pytest

from fakes.gpio.gpiod import LineSettings
from fakes.gpio.gpiod.line import Direction, Value


@dataclass
class Chip:
    """``levels`` are the lines' electric levels; ``held`` by whom; ``broken`` is raised at the next use."""

    levels: dict[int, bool] = field(default_factory=dict)
    held: dict[int, str] = field(default_factory=dict)
    broken: OSError | None = None


class Request:
    def __init__(self, chip: Chip, consumer: str, config: dict[int, LineSettings]) -> None:
        self._chip, self._config = chip, config
        for line, settings in config.items():
            if chip.broken is not None:
                raise chip.broken
            if line in chip.held:
                raise OSError(16, "Device or resource busy")
            chip.held[line] = consumer
            if settings.direction is Direction.OUTPUT:
                self.set_value(line, settings.output_value)

    def __enter__(self) -> Request:  # noqa: PYI034 - as gpiod has it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def set_value(self, line: int, value: Value) -> None:
        if self._chip.broken is not None:
            raise self._chip.broken
        self._chip.levels[line] = (value is Value.ACTIVE) != self._config[line].active_low

    def get_value(self, line: int) -> Value:
        is_high = self._chip.levels.get(line, False)
        return Value.ACTIVE if is_high != self._config[line].active_low else Value.INACTIVE

    def release(self) -> None:
        for line in self._config:
            self._chip.held.pop(line, None)


def install(monkeypatch: pytest.MonkeyPatch, chips: dict[str, Chip]) -> None:
    """Put it in gpiod's place."""

    def request_lines(path: str, *, consumer: str, config: dict[int, LineSettings]) -> Request:
        if path not in chips:
            raise FileNotFoundError(2, "No such file or directory")
        return Request(chips[path], consumer, config)

    line: Any = ModuleType("gpiod.line")
    line.Direction, line.Value = Direction, Value
    module: Any = ModuleType("gpiod")
    module.line, module.LineSettings, module.request_lines = line, LineSettings, request_lines
    monkeypatch.setitem(sys.modules, "gpiod", module)
    monkeypatch.setitem(sys.modules, "gpiod.line", line)
