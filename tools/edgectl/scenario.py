"""A scenario: what a box is told to feel, second by second, and what its pipelines can do less of.

TOML; ``readings`` are written as points of time and value with straight lines between them, or recorded: a CSV file beside it with
``time_s`` and one column a reading, of which each value holds until the next one.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edged.config.faults import explain
from edged.config.read import read_toml
from edged.control.steps import Kind
from edged.domain.errors import ConfigError

Reading = Literal[
    "temperature_c",
    "accelerator_c",
    "memory_free_percent",
    "memory_full_percent",
    "swapped_mb_s",
    "cpu_some_percent",
    "throttled",
    "under_voltage",
    "slowness",
]
"""``slowness`` multiplies every pipeline's latency; ``throttled`` and ``under_voltage`` are so from a half on."""
Point = tuple[float, float]
MAX_S = 7 * 86_400


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Worker(_Part):
    """A pipeline of the scenario. ``latency_ms`` is what it takes at the top, on a box that is well."""

    name: str
    priority: int = 0
    reach: dict[Kind, Annotated[int, Field(ge=0, le=10)]]
    latency_ms: Annotated[float, Field(gt=0)]
    objective_ms: Annotated[float, Field(gt=0)] | None = None


class Scenario(_Part):
    """What happens, and to whom."""

    name: str
    seconds: Annotated[int, Field(gt=0, le=MAX_S)]
    soft_c: float = 75.0
    hard_c: float = 85.0
    heat_c: Annotated[float, Field(ge=0)] = 0.0
    """So much of the temperature is edged's own doing: without its work the readings would be lower by it."""
    lag_s: Annotated[float, Field(ge=1)] = 1.0
    """Time constant of the heat sink."""
    memory_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Of the memory, what the pipelines' models take."""
    readings: dict[Reading, Annotated[tuple[Point, ...], Field(min_length=1)]] = Field(default_factory=dict)
    recorded: Path | None = None
    pipeline: Annotated[tuple[Worker, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _times_go_forward(self) -> Scenario:
        for name, points in self.readings.items():
            times = [at_s for at_s, _ in points]
            if times != sorted(times):
                message = f"cannot use {name}: its times step back, expected rising ones"
                raise ValueError(message)
        return self

    def value(self, reading: Reading, at_s: float) -> float | None:
        """Give a reading at a time; None when the scenario has none of it."""
        points = self.readings.get(reading)
        return None if points is None else _between(points, at_s)


def read_scenario(file: Path) -> Scenario:
    """Read a scenario with its recording. Raises ConfigError with every fault."""
    document = read_toml(file)
    try:
        scenario = Scenario.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, path))}: {line}" for path, line in explain(error, [Scenario], document))
        message = f"cannot use scenario {file}: {faults}"
        raise ConfigError(message) from error
    if scenario.recorded is None:
        return scenario
    return scenario.model_copy(update={"readings": {**scenario.readings, **_recorded(file.parent / scenario.recorded)}})


def _recorded(file: Path) -> Mapping[str, tuple[Point, ...]]:
    """Read a recording as points that hold until the next one."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]
    except (OSError, ValueError, TypeError) as error:
        message = f"cannot read recording {file}: {error}, expected numbers below time_s and names of readings"
        raise ConfigError(message) from error
    names = [name for name in (rows[0] if rows else {}) if name != "time_s"]
    unknown = [name for name in names if name not in Reading.__args__]  # type: ignore[attr-defined] # a Literal has them
    if not names or unknown or "time_s" not in rows[0]:
        message = f"cannot read recording {file}: its columns are {', '.join(rows[0] if rows else ())}, expected time_s and readings"
        raise ConfigError(message)
    return {name: _holding([(row["time_s"], row[name]) for row in rows]) for name in names}


def _holding(points: list[Point]) -> tuple[Point, ...]:
    held: list[Point] = []
    for at_s, value in sorted(points):
        if held:
            held.append((at_s, held[-1][1]))
        held.append((at_s, value))
    return tuple(held)


def _between(points: tuple[Point, ...], at_s: float) -> float:
    """Read a line of points; before the first and after the last its ends hold, and of two at one time the later counts."""
    place = bisect_right(points, at_s, key=lambda point: point[0])
    if place in {0, len(points)}:
        return points[min(place, len(points) - 1)][1]
    (start_s, start), (end_s, end) = points[place - 1], points[place]
    return start + (end - start) * (at_s - start_s) / (end_s - start_s)
