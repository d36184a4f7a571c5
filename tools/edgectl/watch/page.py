"""The page of many boxes: a row a pipeline, the latest events below, all within the terminal's lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from edgectl.plain import one_line
from edgectl.watch.boxes import Happening, Row
from edgectl.watch.columns import COLUMNS, GAP, STATE, ordered, widths
from edgectl.watch.view import View

STYLES = {
    "ok": "green",
    "degraded": "yellow",
    "paused": "yellow",
    "starting": "cyan",
    "opening": "cyan",
    "ended": "dim",
    "unknown": "dim",
    "offline": "dim",
}
"""Every other state is trouble."""
TROUBLE = "bold red"
EVENTS = 5
"""So many of the latest events stand below the table where there is room."""
FEWEST_ROWS = 4
"""Events give way to these."""
KEYS = "q quit  ↑↓ select  enter box  s/S sort by  r reverse"
INSIDE_KEYS = "q quit  ↑↓ scroll  esc back"


def fleet_page(
    rows: Sequence[Row], happenings: Sequence[Happening], view: View, size: tuple[int, int], head: Text
) -> list[Text]:
    """Give the page's lines; ``head`` is its first, ``rows`` stand in the order in which they are shown."""
    width, height = size
    events = min(EVENTS, len(happenings), max(0, height - FEWEST_ROWS - 4))
    room = max(1, height - 3 - (events + 1 if events else 0))
    selected = view.at(rows)
    first = max(0, min(selected - room // 2, len(rows) - room))
    lines = [head, titles(view, width)]
    lines += [
        line_of(row, width, is_selected=index == selected)
        for index, row in enumerate(rows[first : first + room], first)
    ]
    lines += [Text("")] * (room - (len(lines) - 2))
    if events:
        lines.append(Text("latest (UTC)", style="dim"))
        lines += [event_line(one, width) for one in happenings[:events]]
    below = len(rows) - first - room
    lines.append(Text(KEYS + (f"  {below} more below" if below > 0 else ""), style="dim"))
    return [fitted(line, width) for line in lines[:height]]


def table_page(rows: Sequence[Row], happenings: Sequence[Happening], width: int) -> list[Text]:
    """Give the page that is printed once: every row, the latest events."""
    lines = [titles(None, width)]
    lines += [line_of(row, width) for row in ordered(rows, STATE)]
    if happenings:
        lines += [Text(""), *(event_line(one, width) for one in happenings[:EVENTS])]
    return [fitted(line, width) for line in lines]


def titles(view: View | None, width: int) -> Text:
    """Give the line of titles; the column that sorts is marked."""
    line = Text()
    for index, (column, cells) in enumerate(zip(COLUMNS, widths(width), strict=True)):
        is_sorting = view is not None and index == view.column
        text = cell(column.title, cells, is_number=column.is_number)
        line.append(text + " " * GAP, style="reverse" if is_sorting else "bold")
    return line


def line_of(row: Row, width: int, *, is_selected: bool = False) -> Text:
    """Give a row's line."""
    line = Text(style="reverse" if is_selected else "")
    for index, (column, cells) in enumerate(zip(COLUMNS, widths(width), strict=True)):
        style = STYLES.get(row.state, TROUBLE) if index == STATE else ""
        line.append(cell(column.text(row), cells, is_number=column.is_number) + " " * GAP, style=style)
    return line


def event_line(one: Happening, width: int, *, with_box: bool = True) -> Text:
    """Give an event's line: time of day, where, what."""
    line = Text()
    line.append(f"{one.at[11:19]} ", style="dim")
    line.append(f"{one.box} {one.where} " if with_box else f"{one.where} ", style="bold")
    line.append(one.what, style="yellow" if one.is_alert else "")
    return fitted(line, width)


def cell(text: str, cells: int, *, is_number: bool = False) -> str:
    """Fit a text into a column; what is too long ends in an ellipsis."""
    if cells <= 0:
        return ""
    shown = one_line(text)
    if cell_len(shown) > cells:
        return set_cell_size(shown, cells - 1) + "…"
    blank = " " * (cells - cell_len(shown))
    return blank + shown if is_number else shown + blank


def fitted(line: Text, width: int) -> Text:
    """Cut a line to the terminal's width, without blanks at its end."""
    cut = line.copy()
    cut.plain = one_line(cut.plain)
    cut.truncate(width, overflow="ellipsis" if cell_len(cut.plain.rstrip()) > width else "crop")
    if not cut.style:
        cut.rstrip()
    return cut
