"""The page that edgectl prints on: the terminal, or one of a fixed width where there is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from edgectl.plain import plain

WIDTH = 120
"""Of what goes into a file or a pipe."""


class Page(Console):
    """Prints what came from anywhere: colours are rich's own, and no control character of a text reaches the terminal."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Give a string as rich has it; made plain before it is measured, so that tables have room for it."""
        return super().render_str(plain(text), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Give the segments of what is printed, as rich has them."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))


def console(width: int = WIDTH, *, markup: bool = False) -> Page:
    """Give the terminal, or a page of so many columns; square brackets are text unless ``markup`` is asked for."""
    made = Page(highlight=False, emoji=False, markup=markup)
    return made if made.is_terminal else Page(highlight=False, emoji=False, markup=markup, width=width)
