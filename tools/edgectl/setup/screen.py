"""The steps as they come, for people; one document, for programs."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from edgectl.page import console
from edgectl.plain import print_json
from edgectl.setup.steps import Outcome, Told

STYLES: dict[Outcome, str] = {
    "done": "green",
    "changed": "yellow",
    "already": "dim",
    "left": "default",
    "failed": "bold red",
}
WOULD: dict[Outcome, str] = {
    "done": "would do",
    "changed": "would change",
    "already": "already",
    "left": "left",
    "failed": "FAILED",
}
WIDTH = 12
PIPED_WIDTH = 240


def shown(steps: Iterable[Told], *, dry_run: bool, as_json: bool, schema: str) -> list[Told]:
    """Show each step as it ends; gives them all."""
    page = console(PIPED_WIDTH)
    told: list[Told] = []
    for step in steps:
        told.append(step)
        if not as_json:
            mark = WOULD[step.outcome] if dry_run else step.outcome
            # A fault is told on standard error, whole.
            what = "" if step.outcome == "failed" else step.what
            page.print(_row(Text(mark, style=STYLES[step.outcome]), Text(f"{step.name}  ").append(what, style="dim")))
    if as_json:
        rows = [{"step": one.name, "outcome": one.outcome, "what": one.what} for one in told]
        print_json({"schema": schema, "dry_run": dry_run, "steps": rows})
    return told


def _row(mark: Text, what: Text) -> Table:
    """Put a step beside its mark, also where it takes several lines."""
    row = Table.grid(padding=(0, 2))
    row.add_column(width=WIDTH, justify="right")
    row.add_column(overflow="fold")
    row.add_row(mark, what)
    return row
