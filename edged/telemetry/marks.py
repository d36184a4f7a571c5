"""What happened in the past that the flight recorder kept: starts, steps of the governor, models, health and the broker. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edged.telemetry.history import Numbers
from edged.telemetry.past import Rows, family, labels

Kind = Literal["start", "governor", "model", "health", "broker"]
_UP = "edged_uptime_seconds"


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened."""

    at_ms: int
    kind: Kind
    what: str


def _step(told: dict[str, str], before: float, after: float) -> str:
    way = "less" if after > before else "more"
    return f"{told.get('pipeline', '')} does {way}: {told.get('kind', '')} {before:.0f} to {after:.0f}"


def _model(told: dict[str, str], _before: float, after: float) -> str:
    name = f"{told.get('model')} {told.get('version')} {told.get('variant')} on {told.get('accelerator')}"
    return f"{told.get('pipeline')} runs {name}" if after else ""


def _health(told: dict[str, str], _before: float, after: float) -> str:
    return f"health {told.get('grade')}" if after else ""


def _broker(_told: dict[str, str], _before: float, after: float) -> str:
    return "broker connected" if after else "broker away"


@dataclass(frozen=True, slots=True)
class _Row:
    kind: Kind
    say: Callable[[dict[str, str], float, float], str]
    """Gives what is said of a change, from the labels and both values; empty when nothing is."""


FAMILIES: dict[str, _Row] = {
    "edged_governor_steps": _Row("governor", _step),
    "edged_model_info": _Row("model", _model),
    "edged_health": _Row("health", _health),
    "edged_mqtt_connected": _Row("broker", _broker),
}


@dataclass(slots=True)
class Marks:
    """Takes rows in their order, and keeps what happened from ``begin_ms`` to ``end_ms``."""

    begin_ms: int
    end_ms: int
    found: list[Mark] = field(default_factory=list)
    _last: dict[str, float] = field(default_factory=dict)
    _wanted: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    """The columns that tell something, by all columns of a block."""
    _boot: str = ""

    @staticmethod
    def wants(column: str) -> bool:
        """Whether a column tells of something that happens."""
        return family(column) in FAMILIES or column == _UP

    def take(self, rows: Rows) -> None:
        """Take the next rows."""
        if rows.boot != self._boot:
            if self._boot:
                self._keep(Mark(int(rows.walls_ms[0]), "start", "the box started"))
            self._boot = rows.boot
            self._last.clear()
        if rows.columns not in self._wanted:
            self._wanted[rows.columns] = [number for number, name in enumerate(rows.columns) if self.wants(name)]
        wanted = self._wanted[rows.columns]
        names, values = [rows.columns[number] for number in wanted], np.nan_to_num(rows.values[:, wanted])
        # What stands when looking begins did not happen then; a column that comes later was nothing before.
        before = np.vstack([self._before(names, values[0]), values[:-1]])
        for column, at in np.argwhere((values != before).T).tolist():
            self._say(int(rows.walls_ms[at]), names[column], float(before[at, column]), float(values[at, column]))
        # A column that is gone stands at nothing: a model that comes back is told again.
        gone = dict.fromkeys(self._last, 0.0)
        self._last = gone | dict(zip(names, values[-1].tolist(), strict=True))

    def _before(self, names: Sequence[str], first: Numbers) -> Numbers:
        return np.array([self._last.get(name, 0.0) for name in names]) if self._last else first

    def _say(self, at_ms: int, column: str, before: float, after: float) -> None:
        if column == _UP:
            if after < before:
                self._keep(Mark(at_ms, "start", "edged started"))
            return
        row = FAMILIES[family(column)]
        what = row.say(labels(column), before, after)
        if what:
            self._keep(Mark(at_ms, row.kind, what))

    def _keep(self, mark: Mark) -> None:
        if self.begin_ms <= mark.at_ms <= self.end_ms:
            self.found.append(mark)
