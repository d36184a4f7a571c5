"""The columns: what stands in each, how wide it is, and what sorts by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgectl.watch.boxes import Row

WORST_FIRST = ("failed", "offline", "silent", "lost", "degraded", "paused", "opening", "starting", "unknown")
"""How urgent a state is; every other is well."""
THOUSAND, MILLION = 1_000, 1_000_000
EXACT_BELOW = 10
"""Smaller numbers keep a digit behind the point."""
GAP = 1
NARROW = 80
"""Where everything has to fit."""


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` is at 80 columns, ``share`` how much of what is wider it gets. ``sort`` gives what rows are ordered by, None last."""

    title: str
    width: int
    text: Callable[[Row], str]
    sort: Callable[[Row], Any]
    share: int = 0
    is_number: bool = False
    is_falling: bool = False
    """Whether the largest stands first."""


def urgency(row: Row) -> int:
    """Give how urgent a row's state is, 0 the most."""
    return WORST_FIRST.index(row.state) if row.state in WORST_FIRST else len(WORST_FIRST)


def is_trouble(row: Row) -> bool:
    """Whether somebody should look at it."""
    return row.state in WORST_FIRST


def short(value: float | None) -> str:
    """Write a number in at most four characters."""
    if value is None:
        return "-"
    # Compared, not rounded: what figures add up to may be infinite.
    if value / THOUSAND >= THOUSAND - 0.5:
        return f"{min(value / MILLION, 999):.0f}M"
    if value >= EXACT_BELOW * THOUSAND - 0.5:
        return f"{value / THOUSAND:.0f}k"
    return f"{value:.1f}" if abs(value) < EXACT_BELOW and value != int(value) else f"{value:.0f}"


def milliseconds(value_ms: float | None) -> str:
    """Write a time in at most four characters: milliseconds, or seconds with their unit."""
    if value_ms is None or value_ms < THOUSAND:
        return short(value_ms)
    seconds = value_ms / THOUSAND
    return f"{seconds:.1f}s" if round(seconds, 1) < EXACT_BELOW else f"{min(seconds, 999):.0f}s"


COLUMNS = (
    Column("box", 12, lambda row: row.box, lambda row: row.box, share=3),
    Column("pipeline", 10, lambda row: row.pipeline or "-", lambda row: row.pipeline, share=2),
    Column("state", 8, lambda row: row.state, urgency),
    Column("rate", 4, lambda row: short(row.rate_hz), lambda row: row.rate_hz, is_number=True),
    Column("age", 4, lambda row: milliseconds(row.age_ms), lambda row: row.age_ms, is_number=True, is_falling=True),
    Column("p99", 4, lambda row: milliseconds(row.p99_ms), lambda row: row.p99_ms, is_number=True, is_falling=True),
    Column("drop", 4, lambda row: short(row.drops), lambda row: row.drops, is_number=True, is_falling=True),
    Column(
        "°C",
        3,
        lambda row: short(row.temp_c and round(row.temp_c)),
        lambda row: row.temp_c,
        is_number=True,
        is_falling=True,
    ),
    Column("rung", 10, lambda row: row.rung or "-", lambda row: row.rung, share=3),
    Column("model", 12, lambda row: row.model or "-", lambda row: row.model, share=2),
)
STATE = 2
"""What is sorted by at first: trouble stands on top."""


def ordered(rows: Sequence[Row], column: int, *, is_turned: bool = False) -> list[Row]:
    """Sort rows by a column, and those that are equal in it by name; what is not known stands at the end either way."""
    chosen = COLUMNS[column]
    named = sorted(rows, key=lambda row: (row.box, row.pipeline))
    known = [row for row in named if chosen.sort(row) is not None]
    known.sort(key=chosen.sort, reverse=chosen.is_falling != is_turned)
    return known + [row for row in named if chosen.sort(row) is None]


def widths(width: int) -> list[int]:
    """Give each column's width on a terminal: what is wider than 80 is shared out, what is narrower is taken from the right."""
    shares = sum(column.share for column in COLUMNS)
    more = max(0, width - NARROW)
    given = [column.width + more * column.share // shares for column in COLUMNS]
    room = width
    fitted = []
    for wanted in given:
        fitted.append(max(0, min(wanted, room)))
        room -= wanted + GAP
    return fitted
