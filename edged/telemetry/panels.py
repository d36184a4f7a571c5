"""Curves of the past: which columns make one, and many seconds as few points. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edged.telemetry.history import Numbers, Wholes
from edged.telemetry.past import Rows, family, is_counter, labels

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Panel:
    """A kind of curve: all columns of a family, those of one pipeline taken together."""

    name: str
    family: str
    unit: str = ""
    together: Literal["sum", "max"] = "max"
    scale: float = 1.0

    def key(self, column: str) -> str | None:
        """Name the curve that a column belongs to: the pipeline's, or the panel's only one; None when it is none of this panel."""
        if family(column) == self.family:
            return labels(column).get("pipeline", "")
        return "" if column == self.family else None


def exactly(column: str) -> Panel:
    """Give the curve of one column alone."""
    return Panel(column.removeprefix("edged_"), column, "/s" if is_counter(column) else "")


PANELS: tuple[Panel, ...] = (
    Panel("temperature", "edged_temperature_celsius", "°C"),
    Panel("pressure", "edged_pressure_level", "level"),
    Panel("rate", "edged_results_total", "/s", "sum"),
    Panel("latency", "edged_frame_p95_seconds", "ms p95", scale=1000),
    Panel("age", "edged_age_p95_seconds", "ms p95", scale=1000),
    Panel("drops", "edged_frames_dropped_total", "/s", "sum"),
    Panel("steps", "edged_governor_steps", "down", "sum"),
    Panel("memory", "edged_process_resident_bytes", "MiB", scale=1 / MIB),
    Panel("free memory", "edged_memory_available_bytes", "MiB", scale=1 / MIB),
    Panel("processor", "edged_process_cpu_ratio", "%", scale=100),
    Panel("outbox", "edged_spool_depth", "waiting"),
)
"""What a box is judged by at one look, in the order of the page."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve in points of equal width: what the seconds of each were on average, at least and at most, with NaN where nothing is known."""

    panel: Panel
    pipeline: str
    mean: Numbers
    low: Numbers
    high: Numbers

    @property
    def title(self) -> str:
        """Name it for people."""
        return f"{self.panel.name} {self.pipeline}".rstrip()


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the columns of a block become curves: those of one curve side by side, and where each curve begins."""

    columns: NDArray[np.intp]
    starts: NDArray[np.intp]
    curves: NDArray[np.intp]
    """Their places among all."""
    scales: Numbers


class Drawing:
    """Gathers rows into ``points`` of the time from ``begin_ms`` to ``end_ms``."""

    def __init__(self, panels: Sequence[Panel], begin_ms: int, end_ms: int, points: int) -> None:
        self._panels, self._begin_ms, self._end_ms, self._points = panels, begin_ms, end_ms, points
        self._keys: dict[tuple[Panel, str], int] = {}
        self._plans: dict[tuple[str, ...], Sequence[tuple[np.ufunc, float, _Plan]]] = {}
        # (points, curves); a curve more is a column more.
        self._count, self._total = np.zeros((points, 0)), np.zeros((points, 0))
        self._low, self._high = np.zeros((points, 0)), np.zeros((points, 0))

    def wants(self, column: str) -> bool:
        """Whether a column is drawn."""
        return any(panel.key(column) is not None for panel in self._panels)

    def take(self, rows: Rows) -> None:
        """Take rows, in any order."""
        at = (rows.walls_ms - self._begin_ms) * self._points // max(1, self._end_ms - self._begin_ms)
        is_seen = (at >= 0) & (at < self._points)
        if not is_seen.any():
            return
        if rows.columns not in self._plans:
            self._plans[rows.columns] = self._planned(rows.columns)
        for together, neutral, plan in self._plans[rows.columns]:
            self._add(plan.curves, at[is_seen], _together(together, neutral, plan, rows.told[is_seen]))

    def curves(self) -> list[Curve]:
        """Give the curves, in the order of the panels, and of the pipelines' names."""
        order = {panel: number for number, panel in enumerate(self._panels)}
        found = sorted(self._keys.items(), key=lambda item: (order[item[0][0]], item[0][1]))
        return [self._curve(panel, key, at) for (panel, key), at in found if self._count[:, at].any()]

    def _planned(self, columns: Sequence[str]) -> Sequence[tuple[np.ufunc, float, _Plan]]:
        found: dict[str, dict[tuple[Panel, str], list[int]]] = {}
        for number, column in enumerate(columns):
            for panel in self._panels:
                key = panel.key(column)
                if key is not None:
                    found.setdefault(panel.together, {}).setdefault((panel, key), []).append(number)
        return [(*_WAYS[way], self._plan(groups)) for way, groups in found.items()]

    def _plan(self, groups: Mapping[tuple[Panel, str], Sequence[int]]) -> _Plan:
        places = [self._keys.setdefault(key, len(self._keys)) for key in groups]
        more = len(self._keys) - self._count.shape[1]
        self._count, self._total = (np.pad(old, ((0, 0), (0, more))) for old in (self._count, self._total))
        self._low = np.pad(self._low, ((0, 0), (0, more)), constant_values=np.inf)
        self._high = np.pad(self._high, ((0, 0), (0, more)), constant_values=-np.inf)
        lengths = [len(numbers) for numbers in groups.values()]
        return _Plan(
            np.array([number for numbers in groups.values() for number in numbers], np.intp),
            np.cumsum([0, *lengths[:-1]]).astype(np.intp),
            np.array(places, np.intp),
            np.array([panel.scale for panel, _ in groups]),
        )

    def _add(self, curves: NDArray[np.intp], at: Wholes, values: Numbers) -> None:
        """Add (rows, curves) to the points at which the rows lie, a run of rows of one point at a time."""
        starts = np.concatenate([[0], np.flatnonzero(np.diff(at)) + 1])
        is_known = ~np.isnan(values)
        counts = np.add.reduceat(is_known, starts, axis=0, dtype=np.float64)
        totals = np.add.reduceat(np.where(is_known, values, 0.0), starts, axis=0)
        lows = np.minimum.reduceat(np.where(is_known, values, np.inf), starts, axis=0)
        highs = np.maximum.reduceat(np.where(is_known, values, -np.inf), starts, axis=0)
        for run, point in enumerate(at[starts].tolist()):
            self._count[point, curves] += counts[run]
            self._total[point, curves] += totals[run]
            self._low[point, curves] = np.minimum(self._low[point, curves], lows[run])
            self._high[point, curves] = np.maximum(self._high[point, curves], highs[run])

    def _curve(self, panel: Panel, pipeline: str, at: int) -> Curve:
        count, low, high = self._count[:, at], self._low[:, at], self._high[:, at]
        is_known = count > 0
        mean = np.divide(self._total[:, at], count, out=np.full_like(low, np.nan), where=is_known)
        return Curve(panel, pipeline, mean, np.where(is_known, low, np.nan), np.where(is_known, high, np.nan))


_WAYS: Mapping[str, tuple[np.ufunc, float]] = {"sum": (np.add, 0.0), "max": (np.maximum, -np.inf)}
"""How columns are taken together, and what changes nothing there."""


def _together(together: np.ufunc, neutral: float, plan: _Plan, values: Numbers) -> Numbers:
    """Give (rows, curves), each of the columns that are known; NaN where none is."""
    chosen = values[:, plan.columns]
    is_known = ~np.isnan(chosen)
    found = together.reduceat(np.where(is_known, chosen, neutral), plan.starts, axis=1)
    return np.where(np.logical_or.reduceat(is_known, plan.starts, axis=1), found * plan.scales, np.nan)
