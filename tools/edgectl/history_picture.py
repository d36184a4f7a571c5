"""The past as a picture: a panel a kind of curve, the pipelines together, over one axis of time, with what happened as lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from edgectl.history_screen import from_zero
from edged.assembly.histories import Past
from edged.telemetry.marks import Kind, Mark
from edged.telemetry.panels import Curve, Panel

INCHES_WIDE, INCHES_A_PANEL, DPI = 9.0, 1.05, 110
COLORS = ("#1b6ca8", "#c2571a", "#3b7d3a", "#7a4b9a", "#8a6d1d", "#2a9d8f", "#b3261e", "#555555")
MARKS: dict[Kind, str] = {
    "start": "#222222",
    "governor": "#d69e2e",
    "model": "#2a9d8f",
    "health": "#c53030",
    "broker": "#2b6cb0",
}


def picture(file: Path, past: Past) -> None:
    """Draw it. Raises OSError or ValueError when the file cannot be written."""
    panels = list(dict.fromkeys(curve.panel for curve in past.curves))
    pipelines = sorted({curve.pipeline for curve in past.curves} - {""})
    colors = {name: COLORS[at % len(COLORS)] for at, name in enumerate(pipelines)} | {"": COLORS[-1]}
    figure = Figure(figsize=(INCHES_WIDE, 1.1 + INCHES_A_PANEL * max(1, len(panels))), dpi=DPI, layout="constrained")
    drawn = figure.subplots(max(1, len(panels)), 1, sharex=True, squeeze=False)[:, 0]
    times = _times(past)
    for axes, panel in zip(drawn, panels, strict=False):
        _panel(axes, panel, [curve for curve in past.curves if curve.panel == panel], times, colors)
        for mark in past.marks:
            axes.axvline(_moment(mark.at_ms), color=MARKS[mark.kind], linewidth=0.7, alpha=0.55)
    drawn[-1].set_xlim(_moment(past.begin_ms), _moment(past.end_ms))
    locator: Any = AutoDateLocator()  # type: ignore[no-untyped-call] # matplotlib's own
    drawn[-1].xaxis.set_major_locator(locator)
    drawn[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # as above
    drawn[-1].set_xlabel("UTC", fontsize=8)
    _legend(figure, {name: colors[name] for name in pipelines}, past.marks)
    figure.savefig(file, metadata={"Software": None})


def _panel(axes: Any, panel: Panel, curves: Sequence[Curve], times: Sequence[datetime], colors: dict[str, str]) -> None:
    for curve in curves:
        color = colors[curve.pipeline]
        axes.fill_between(times, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)
        axes.plot(times, curve.mean, color=color, linewidth=1.1)
    axes.set_title(f"{panel.name}, {panel.unit}".rstrip(", "), fontsize=8, loc="left", pad=2)
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.3, alpha=0.5)
    if any(from_zero(curve) for curve in curves):
        axes.set_ylim(bottom=0)


def _legend(figure: Figure, pipelines: dict[str, str], marks: Sequence[Mark]) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415 - beside its only use

    kinds = dict.fromkeys(mark.kind for mark in marks)
    handles = [Line2D([], [], color=color, label=name) for name, color in pipelines.items()]
    handles += [Line2D([], [], color=MARKS[kind], alpha=0.55, linewidth=1.5, marker="|", label=kind) for kind in kinds]
    if handles:
        figure.legend(handles=handles, loc="outside upper right", ncols=min(8, len(handles)), fontsize=8, frameon=False)


def _times(past: Past) -> list[datetime]:
    """Give the middle of each point."""
    step_ms = (past.end_ms - past.begin_ms) / past.points
    return [_moment(past.begin_ms + step_ms * (at + 0.5)) for at in range(past.points)]


def _moment(wall_ms: float) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, timezone.utc)
