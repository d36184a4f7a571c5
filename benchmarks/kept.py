"""The figures as they were measured last, each with its time: some can be measured anew without the others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from figure import Figure

Row = tuple[Figure, str]
"""A figure, and when it was measured (UTC)."""


def read(file: Path) -> list[Row]:
    """Read what was kept; empty when nothing was."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [(Figure(**one["figure"]), one["when"]) for one in kept]


def write(file: Path, rows: Iterable[Row]) -> None:
    """Keep the rows."""
    told = [{"figure": asdict(figure), "when": when} for figure, when in rows]
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def merged(before: Sequence[Row], figures: Iterable[Figure], when: str) -> list[Row]:
    """Put what was measured now in the place of the rows of the same name, and what is new behind them."""
    fresh = {figure.what: figure for figure in figures}
    rows = [(fresh.pop(figure.what), when) if figure.what in fresh else (figure, then) for figure, then in before]
    return [*rows, *((figure, when) for figure in fresh.values())]
