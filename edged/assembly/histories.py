"""The flight recorder asked: curves and what happened, of a stretch of time, as edgectl and the dashboard show them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isnan
from typing import Any

from edged.assembly.history_store import MINUTE_MS, HistoryStore
from edged.domain.ports import Clock
from edged.fleet.topics import rfc3339
from edged.telemetry.history import Block, Head, Numbers
from edged.telemetry.marks import Mark, Marks
from edged.telemetry.panels import PANELS, Curve, Drawing, Panel
from edged.telemetry.past import Rows, begins_ms, offsets_ms, rows

SCHEMA = "edged.history/1"
LONGEST_BLOCK_MS = 660_000
"""A block begins so long before its last row at most."""
MAX_POINTS, MAX_SPAN_S = 1000, 40 * 86_400
FIGURES = 5
_NS_PER_MS, _MS_PER_S = 1_000_000, 1000


@dataclass(frozen=True, slots=True)
class Past:
    """A stretch of time: its curves, in points of equal width, and what happened in it."""

    begin_ms: int
    end_ms: int
    points: int
    curves: Sequence[Curve]
    marks: Sequence[Mark]

    def document(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "schema": SCHEMA,
            "from": rfc3339(self.begin_ms * _NS_PER_MS),
            "to": rfc3339(self.end_ms * _NS_PER_MS),
            "step_s": (self.end_ms - self.begin_ms) / self.points / _MS_PER_S,
            "curves": [_told(curve) for curve in self.curves],
            "marks": [
                {"at": rfc3339(one.at_ms * _NS_PER_MS), "kind": one.kind, "what": one.what} for one in self.marks
            ],
        }


def past(
    store: HistoryStore,
    begin_ms: int,
    end_ms: int,
    points: int,
    panels: Sequence[Panel] = PANELS,
    pending: Block | None = None,
) -> Past:
    """Look back. ``pending`` is what the recorder has in hand and did not write yet."""
    drawing, marks = Drawing(panels, begin_ms, end_ms, points), Marks(begin_ms, end_ms)
    for found in recorded(store, begin_ms, end_ms, lambda name: drawing.wants(name) or marks.wants(name), pending):
        drawing.take(found)
        marks.take(found)
    happened = sorted(marks.found, key=lambda mark: mark.at_ms)
    return Past(begin_ms, end_ms, points, drawing.curves(), happened)


def recorded(
    store: HistoryStore, begin_ms: int, end_ms: int, wanted: Callable[[str], bool], pending: Block | None = None
) -> Iterator[Rows]:
    """Give the rows of a stretch, in whole blocks, with the wanted columns alone."""
    offsets = offsets_ms(store.heads())
    is_near = _nearness(offsets, begin_ms - LONGEST_BLOCK_MS, end_ms)
    yield from rows(chain(store.blocks(is_near, wanted), [pending] if pending is not None else []), offsets)


def columns(store: HistoryStore, begin_ms: int, end_ms: int) -> list[str]:
    """Name every column that was recorded in a stretch, within a minute."""
    return store.columns(_nearness(offsets_ms(store.heads()), begin_ms - MINUTE_MS, end_ms))


def _nearness(offsets: Mapping[str, int], begin_ms: int, end_ms: int) -> Callable[[Head], bool]:
    return lambda head: begin_ms <= begins_ms(head, offsets) <= end_ms


def span_ms(store: HistoryStore) -> tuple[int, int] | None:
    """Give when the first block that is kept begins and the last one; None when there is none."""
    heads = list(store.heads())
    offsets = offsets_ms(heads)
    starts = [begins_ms(head, offsets) for head in heads]
    return (min(starts), max(starts)) if starts else None


class Histories:
    """What the dashboard asks; on any thread, one at a time: a day takes a second of work."""

    def __init__(self, store: HistoryStore, pending: Callable[[], Block | None], clock: Clock) -> None:
        self._store, self._pending, self._clock = store, pending, clock
        self._lock = threading.Lock()

    def document(self, span_s: float, points: int) -> dict[str, Any]:
        """Give the last ``span_s``."""
        end_ms = self._clock.wall_ns() // _NS_PER_MS
        begin_ms = end_ms - int(min(span_s, MAX_SPAN_S) * _MS_PER_S)
        with self._lock:
            return past(self._store, begin_ms, end_ms, min(points, MAX_POINTS), pending=self._pending()).document()


def _told(curve: Curve) -> dict[str, Any]:
    return {
        "name": curve.panel.name,
        "pipeline": curve.pipeline,
        "unit": curve.panel.unit,
        **{name: _numbers(getattr(curve, name)) for name in ("mean", "low", "high")},
    }


def _numbers(values: Numbers) -> list[float | None]:
    return [None if isnan(value) else float(f"{value:.{FIGURES}g}") for value in values.tolist()]
