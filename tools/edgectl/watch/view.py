"""What somebody looks at, and what a key makes of that: values in, a value out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgectl.watch.boxes import Row
from edgectl.watch.columns import COLUMNS, STATE

Place = tuple[str, str]
"""Box and pipeline."""
PAGE = 10
STEPS = {"up": -1, "k": -1, "down": 1, "j": 1, "page-up": -PAGE, "page-down": PAGE, "home": -(1 << 30), "end": 1 << 30}
BACK = frozenset({"escape", "left", "backspace", "h"})
INTO = frozenset({"enter", "right", "l"})
QUIT = frozenset({"q", "interrupt"})


@dataclass(frozen=True, slots=True)
class View:
    """``selected`` stays on its pipeline when the order changes, and on its box when that tells of others; None is the first row.

    ``is_inside``: one box, whole.
    """

    column: int = STATE
    is_turned: bool = False
    selected: Place | None = None
    is_inside: bool = False
    scrolled: int = 0
    """The first line of a box's page that is shown."""

    def at(self, rows: Sequence[Row]) -> int:
        """Give the index of the selected row: of its pipeline, or else the first of its box."""
        box, pipeline = self.selected or ("", "")
        of_box = [index for index, row in enumerate(rows) if row.box == box]
        exact = [index for index in of_box if rows[index].pipeline == pipeline]
        return (exact or of_box or [0])[0]


def pressed(view: View, key: str, rows: Sequence[Row]) -> View:
    """Give what is looked at after a key; ``rows`` stand in the order in which they are shown."""
    if key in STEPS:
        return _moved(view, STEPS[key], rows)
    if key in INTO and rows:
        row = rows[view.at(rows)]
        return replace(view, is_inside=True, scrolled=0, selected=(row.box, row.pipeline))
    if key in BACK:
        return replace(view, is_inside=False)
    if key in {"s", "S", "<", ">", "tab"}:
        step = -1 if key in {"S", "<"} else 1
        return replace(view, column=(view.column + step) % len(COLUMNS), is_turned=False)
    return replace(view, is_turned=not view.is_turned) if key == "r" else view


def _moved(view: View, step: int, rows: Sequence[Row]) -> View:
    if view.is_inside:
        return replace(view, scrolled=max(0, view.scrolled + step))
    if not rows:
        return view
    row = rows[max(0, min(len(rows) - 1, view.at(rows) + step))]
    return replace(view, selected=(row.box, row.pipeline))
