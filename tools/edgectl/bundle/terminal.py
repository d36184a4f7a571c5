"""Tables, questions and progress for people. The result goes to standard output, all else to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.table import Table

from edgectl.bundle.inputs import Guess
from edgectl.page import Page

NUMBERS: dict[str, float] = {"channels": 0, "height": 0, "length": 0, "threshold": 0.0, "width": 0}
"""What is asked for without anything usual, and is no text."""
SHORT = 24
"""Characters up to which a cell stays on one line, however narrow the terminal."""
PIPED_WIDTH = 240
"""Columns where no terminal tells its width: a table cut at 80 would lose what the next program looks for."""


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Print a table; numbers to the right."""
    table = Table(
        title=title or None, title_justify="left", header_style="bold", box=None if not sys.stdout.isatty() else _box()
    )
    for index, column in enumerate(columns):
        cells = [row[index] for row in rows]
        numbers = bool(rows) and all(isinstance(cell, int | float) for cell in cells)
        short = max((len(str(cell)) for cell in (column, *cells)), default=0) <= SHORT
        table.add_column(column, justify="right" if numbers else "left", overflow="fold", no_wrap=short)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    _console().print(table)


def print_line(text: str) -> None:
    """Print a line, as it stands."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Give what says what is being done: a spinner on a terminal's stderr, nothing anywhere else."""
    console = Page(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _text: None
        return
    with console.status("") as status:
        yield status.update


def can_ask() -> bool:
    """Tell whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(key: str, guess: Guess | None) -> Any:
    """Ask for a key's value on stderr; Enter takes what is usual."""
    question = f"{key.replace('_', ' ')}{f' ({guess.why})' if guess else ''}"
    default = told(guess.value) if guess else None
    answer: str = typer.prompt(question, default=default, err=True)
    if guess is not None and answer == default:
        return guess.value
    return parsed(answer, guess.value if guess else NUMBERS.get(key, ""))


def told(value: Any) -> str:
    """Write a value as a person would type it."""
    if isinstance(value, tuple):
        return " ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
    return str(value)


def parsed(text: str, like: Any) -> Any:
    """Read a person's word as the kind of value that ``like`` is. Raises typer.BadParameter when it is none."""
    try:
        if isinstance(like, tuple):
            return tuple(float(part) for part in text.replace(",", " ").split())
        return type(like)(text)
    except ValueError as error:
        message = f"{text!r} is no {type(like).__name__}"
        raise typer.BadParameter(message) from error


def _console() -> Page:
    return Page(emoji=False) if sys.stdout.isatty() else Page(emoji=False, width=PIPED_WIDTH, color_system=None)


def _box() -> Any:
    from rich import box  # noqa: PLC0415 - only a terminal shows one

    return box.SIMPLE_HEAD


def _cell(value: object) -> str:
    from rich.markup import escape  # noqa: PLC0415

    return escape(f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value))
