"""A day of coverage for people: 24 rows of 60 cells in the terminal, and the same as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from edgectl import page
from edged.telemetry.coverage import CAUSES, MINUTE_MS, Minute, Seconds

HOURS, MINUTES = 24, 60
COLORS = {
    "seen": "#2f855a",
    "source": "#c53030",
    "engine": "#6b46c1",
    "paused": "#2b6cb0",
    "thinned": "#dd6b20",
    "gate": "#a3be8c",
    "calibrating": "#d69e2e",
    "down": "#2d3748",
}
MARKS = {"seen": "█", "down": "·"} | {cause: cause[0] for cause in CAUSES}
"""What shows the cause where there are no colours."""
WORDS = {
    "seen": "looked at as often as is asked for",
    "source": "the source was away, silent, dark or damaged",
    "engine": "no engine gave an answer that can be believed",
    "paused": "by a command or by the governor",
    "thinned": "fewer frames than are asked for",
    "gate": "nothing moved",
    "calibrating": "it learned what is normal",
    "down": "the daemon did not run",
}
MOSTLY_MS = MINUTE_MS // 10
"""A cell shows a cause that took more than a tenth of its minute."""
WIDTH = 100
DPI = 120
PARTS = 12
"""Of a cell in the picture: five seconds each."""
GAP = 3
EMPTY = (255, 255, 255)


def console() -> page.Page:
    """Give what a day is printed on."""
    return page.console(WIDTH)


def shares_ms(minute: Minute) -> dict[str, int]:
    """Give the milliseconds of a minute by name."""
    return {"seen": minute.seen_ms, **dict(zip(CAUSES, minute.blind_ms, strict=True)), "down": minute.down_ms}


def mostly(minute: Minute) -> str:
    """Name what a minute's cell shows: the largest cause of those that matter, otherwise that it was seen."""
    shares = shares_ms(minute)
    del shares["seen"]
    worst = max(shares, key=lambda name: shares[name])
    return worst if shares[worst] > MOSTLY_MS else "seen"


def grid(minutes: Sequence[Minute], title: str) -> Text:
    """Draw a row an hour, with the share of it that was seen; what lies ahead stays empty."""
    drawn = Text(f"{title}\n   ", "bold")
    drawn.append("".join(f"{minute:<10}" for minute in range(0, MINUTES, 10)) + "  seen\n", "dim")
    for hour in range(HOURS):
        row = minutes[hour * MINUTES : (hour + 1) * MINUTES]
        drawn.append(f"{hour:02} ", "dim")
        for minute in row:
            name = mostly(minute)
            style = COLORS[name] if name in {"seen", "down"} else f"white on {COLORS[name]}"
            drawn.append(MARKS[name], style)
        drawn.append(" " * (MINUTES - len(row)) + f" {_percent(row):>5}\n")
    return drawn


def legend(day: Seconds) -> Text:
    """Say what the marks mean, and how long each was in all."""
    blind: dict[str, float] = dict(zip(CAUSES, day.blind, strict=True))
    told = {"seen": day.seen} | blind | {"down": day.down}
    drawn = Text()
    for name, seconds in told.items():
        if seconds:
            drawn.append(MARKS[name] * 2, COLORS[name])
            drawn.append(f" {name:<12}{_long(seconds):>12}  ", "bold")
            drawn.append(f"{WORDS[name]}\n")
    return drawn


def picture(file: Path, minutes: Sequence[Minute], title: str) -> None:
    """Draw the day into a picture, each cell in the shares of its minute. Raises OSError or ValueError when it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, for who asks for a picture
    from matplotlib.patches import Patch  # noqa: PLC0415 - as above

    figure = Figure(figsize=(9, 6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    high = HOURS * (PARTS + GAP)
    axes.imshow(pixels(minutes), aspect="auto", interpolation="nearest", extent=(0, MINUTES, high, 0))
    middles = [hour * (PARTS + GAP) + PARTS / 2 for hour in range(HOURS)]
    axes.set_yticks(middles, [f"{hour:02}" for hour in range(HOURS)], fontsize=8)
    axes.set_xticks(range(0, MINUTES + 1, 10))
    axes.set_xlabel("minute of the hour")
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=11, loc="left")
    shown = {name for minute in minutes for name, time_ms in shares_ms(minute).items() if time_ms}
    handles = [Patch(color=color, label=name) for name, color in COLORS.items() if name in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)), fontsize=8, frameon=False)
    for hour, middle in enumerate(middles):
        row = minutes[hour * MINUTES : (hour + 1) * MINUTES]
        axes.text(MINUTES + 0.6, middle, _percent(row), va="center", fontsize=8)
    figure.savefig(file, metadata={"Software": None})


def pixels(minutes: Sequence[Minute]) -> NDArray[np.uint8]:
    """Give the day as (24 * (PARTS + GAP), 60, 3) uint8 RGB: each minute a column, from the bottom seen, then the causes."""
    found = np.full((HOURS, PARTS + GAP, MINUTES, 3), EMPTY, np.uint8)
    for at, minute in enumerate(minutes):
        edge = 0.0
        for name, time_ms in shares_ms(minute).items():
            begins, edge = round(edge * PARTS), edge + time_ms / MINUTE_MS
            found[at // MINUTES, PARTS - round(edge * PARTS) : PARTS - begins, at % MINUTES] = _rgb(COLORS[name])
    return found.reshape(HOURS * (PARTS + GAP), MINUTES, 3)


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))


def _percent(row: Sequence[Minute]) -> str:
    known_ms = sum(minute.length_ms for minute in row)
    return f"{100 * sum(minute.seen_ms for minute in row) / known_ms:.0f} %" if known_ms else ""


def _long(seconds: float) -> str:
    whole, rest = divmod(round(seconds), 60)
    hours, left = divmod(whole, 60)
    return f"{hours} h {left:02} min" if hours else f"{left} min {rest:02} s"
