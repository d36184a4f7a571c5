"""The live view: draws what changed, hears keys, until somebody has seen enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Protocol

from rich.text import Text

from edgectl.page import Page
from edgectl.watch.boxes import Boxes, Row
from edgectl.watch.columns import is_trouble, ordered
from edgectl.watch.inside import box_page
from edgectl.watch.page import TROUBLE, fleet_page
from edgectl.watch.view import QUIT, View, pressed

WIDEST = 1000
"""Lines come cut to the terminal: nothing is to be folded here."""
SETTLED_S, SETTLING_S = 2.0, 0.2
"""At first what the broker retains comes in: it is shown as it comes."""


class Surface(Protocol):
    """What is drawn on; edgectl.watch.terminal.Terminal is one."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""

    def draw(self, lines: list[str], size: tuple[int, int]) -> None:
        """Show these lines, which were made for a terminal of this size, and no others."""

    def keys(self, within_s: float) -> list[str]:
        """Wait for keys."""


def look_on(surface: Surface, boxes: Boxes, is_connected: Callable[[], bool], where: str, every_s: float) -> None:
    """Draw every ``every_s`` seconds and after each key, until one says that it is enough. ``where`` names the broker."""
    view, began_s = View(), time.monotonic()
    while True:
        drawn_s = time.monotonic()
        rows = ordered(boxes.rows(drawn_s), view.column, is_turned=view.is_turned)
        head = headline(boxes, rows, where, is_connected=is_connected())
        size = surface.size
        surface.draw([encoded(line) for line in page(boxes, rows, view, size, head)], size)
        pause_s = every_s if drawn_s - began_s > SETTLED_S else min(every_s, SETTLING_S)
        for key in surface.keys(drawn_s + pause_s - time.monotonic()):
            if key in QUIT:
                return
            view = pressed(view, key, rows)


def page(boxes: Boxes, rows: list[Row], view: View, size: tuple[int, int], head: Text) -> list[Text]:
    """Give what is looked at: all boxes, or the selected one."""
    if view.is_inside and rows:
        name = rows[view.at(rows)].box
        device = boxes.device(name)
        if device is not None:
            return box_page(device, boxes.happenings(name), view.scrolled, size, head)
    return fleet_page(rows, boxes.happenings(), view, size, head)


def headline(boxes: Boxes, rows: list[Row], where: str, *, is_connected: bool) -> Text:
    """Say how many boxes there are and how they are, without a clock: a line that stays the same is not sent again."""
    names = boxes.names()
    trouble = len({row.box for row in rows if is_trouble(row)})
    line = Text()
    line.append(f"{len(names)} {'box' if len(names) == 1 else 'boxes'}, {boxes.online()} online", style="bold")
    if names:
        line.append(f", {trouble} not well" if trouble else ", all well", style="red" if trouble else "green")
    line.append(f"  {where}", style="dim")
    if not is_connected:
        line.append("  the broker is away: what stands here is old", style=TROUBLE)
    return line


def encoded(line: Text) -> str:
    """Write a line as terminals read it; as plain text where colours are not wanted."""
    console = _console()
    with console.capture() as captured:
        console.print(line, end="", no_wrap=True, overflow="ignore", crop=False, highlight=False)
    return captured.get()


@cache
def _console() -> Page:
    return Page(width=WIDEST)
