"""The past in a terminal: a curve a row over one axis of time, what happened below, and a list of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from rich.text import Text

from edgectl.braille import WIDE, braille
from edgectl.page import Page
from edged.assembly.histories import Past
from edged.telemetry.history import Numbers
from edged.telemetry.marks import Kind, Mark
from edged.telemetry.panels import Curve

WIDTH, LEAST_WIDTH = 100, 60
"""Of what goes into a file or a pipe, and what curves take at least."""
NAME, SCALE = 20, 9
"""Columns before and behind the curves."""
FEW, HIGH_LINES, LINES = 3, 8, 2
"""Up to so many curves are drawn high."""
TICKS = 5
STILL = 0.05
"""What moves by less, as a share of its height, hardly moves."""
LISTED = 12
MARKS: dict[Kind, tuple[str, str]] = {
    "start": ("^", "bold"),
    "governor": ("g", "yellow"),
    "model": ("m", "cyan"),
    "health": ("h", "red"),
    "broker": ("b", "blue"),
}
COLORS = ("cyan", "green", "yellow", "magenta", "blue", "red")


def points(page: Page) -> int:
    """Give how many points a curve has room for."""
    return WIDE * (max(LEAST_WIDTH, page.width) - NAME - SCALE)


def drawn(past: Past, page: Page) -> Text:
    """Draw all of it."""
    cells = points(page) // WIDE
    text = Text(no_wrap=True)
    text.append(
        f"{_day(past.begin_ms)} {_clock(past.begin_ms)} to {_day(past.end_ms)} {_clock(past.end_ms)} (UTC)\n", "bold"
    )
    for number, curve in enumerate(past.curves):
        _curve(text, curve, HIGH_LINES if len(past.curves) <= FEW else LINES, COLORS[number % len(COLORS)])
    text.append(" " * NAME).append_text(_marks(past, cells)).append("\n")
    text.append(" " * NAME + _axis(past, cells) + "\n", "dim")
    _list(text, past.marks)
    return text


def from_zero(curve: Curve) -> bool:
    """Whether a curve is drawn from zero: when it comes near, and when it hardly moves, so that no molehill becomes a mountain."""
    low, high = float(np.nanmin(curve.low)), float(np.nanmax(curve.high))
    moves = float(np.nanmax(curve.mean) - np.nanmin(curve.mean))
    return low >= 0 and (low <= high / 2 or moves < STILL * high)


def number(value: float) -> str:
    """Write a value in at most seven characters."""
    if value != value:  # noqa: PLR0124 - NaN
        return "-"
    large = abs(value)
    if large >= 1e6:
        return f"{value:.2g}"
    digits = 0 if large >= 1000 or value == int(value) else 1 if large >= 10 else 2
    return f"{value:.{digits}f}"


def _curve(text: Text, curve: Curve, lines: int, color: str) -> None:
    low, high = float(np.nanmin(curve.low)), float(np.nanmax(curve.high))
    floor = 0.0 if from_zero(curve) else low
    ceiling = high if high > floor else floor + 1
    rows = braille(curve.low.tolist(), curve.high.tolist(), floor, ceiling, lines)
    last = f"{number(_last(curve.mean))} {curve.panel.unit}".rstrip()
    for at, row in enumerate(rows):
        name = _cut(curve.title) if at == 0 else _cut(last) if at == 1 else ""
        text.append(f"{name:<{NAME}}", "bold" if at == 0 else "dim")
        text.append(row, color)
        edge = number(ceiling) if at == 0 else number(floor) if at == lines - 1 else ""
        text.append(f" {edge}".rstrip() + "\n", "dim")


def _last(values: Numbers) -> float:
    known = values[~np.isnan(values)]
    return float(known[-1]) if len(known) else float("nan")


def _cut(name: str) -> str:
    return name if len(name) < NAME else name[: NAME - 2] + "…"


def _marks(past: Past, cells: int) -> Text:
    """Put each mark below its time; of several in one place the first one's letter."""
    row: list[Kind | None] = [None] * cells
    for mark in past.marks:
        at = min(cells - 1, (mark.at_ms - past.begin_ms) * cells // (past.end_ms - past.begin_ms))
        row[at] = row[at] or mark.kind
    text = Text()
    for kind in row:
        text.append(*(MARKS[kind] if kind is not None else (" ", "")))
    text.rstrip()
    return text


def _axis(past: Past, cells: int) -> str:
    line = ""
    for tick in range(TICKS):
        at = tick * cells // TICKS
        wall_ms = past.begin_ms + (past.end_ms - past.begin_ms) * at // cells
        line = f"{line:<{at}}└{_clock(wall_ms, is_short=past.end_ms - past.begin_ms > 600_000)}"
    return line


def _list(text: Text, marks: Sequence[Mark]) -> None:
    if len(marks) > LISTED:
        text.append(f"{len(marks) - LISTED} more before; --json has them all\n", "dim")
    for mark in marks[-LISTED:]:
        letter, style = MARKS[mark.kind]
        text.append(letter, style)
        text.append(f" {_day(mark.at_ms)} {_clock(mark.at_ms)}  ", "dim")
        text.append(f"{mark.what}\n")
    text.rstrip()


def _day(wall_ms: int) -> str:
    return time.strftime("%m-%d", time.gmtime(wall_ms / 1000))


def _clock(wall_ms: int, *, is_short: bool = False) -> str:
    return time.strftime("%H:%M" if is_short else "%H:%M:%S", time.gmtime(wall_ms / 1000))
