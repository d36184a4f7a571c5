"""libgpiod's binding for a process of its own: a chip is a folder, and a line's level what its file holds.

Put ``tests/fakes/gpio`` onto PYTHONPATH. A line that nobody holds keeps its level, as with many drivers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from . import line  # noqa: TID252 - tests of one process know it by another name


@dataclass
class LineSettings:
    direction: line.Direction = line.Direction.INPUT
    active_low: bool = False
    output_value: line.Value = line.Value.INACTIVE


class Request:
    def __init__(self, chip: Path, config: dict[int, LineSettings]) -> None:
        self._chip, self._config = chip, config
        for number, settings in config.items():
            if settings.direction is line.Direction.OUTPUT:
                self.set_value(number, settings.output_value)

    def set_value(self, number: int, value: line.Value) -> None:
        is_high = (value is line.Value.ACTIVE) != self._config[number].active_low
        beside = self._chip / f".{number}"
        beside.write_text(f"{int(is_high)}", encoding="utf-8")
        beside.replace(self._chip / f"{number}")

    def release(self) -> None:
        pass


def request_lines(path: str, *, consumer: str, config: dict[int, LineSettings]) -> Request:
    del consumer
    if not Path(path).is_dir():
        raise FileNotFoundError(2, os.strerror(2))
    return Request(Path(path), config)
