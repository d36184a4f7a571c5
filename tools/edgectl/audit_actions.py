"""What was done about events: the audit log of the configured actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from edgectl.page import Page
from edgectl.plain import print_json
from edged.assembly.acting import FOLDER
from edged.fleet.topics import rfc3339
from edged.update.journal import Entry, read_journal

NS_PER_MS = 1_000_000
SHOWN = 40
"""Lines on a screen; ``--json`` gives all."""


def show(state: Path, until_ms: int | None, *, as_json: bool) -> bool:
    """Print the log up to a moment, or all of it; False when it was altered. Raises DeviceError when it cannot be read."""
    entries = list(read_journal(state / FOLDER))
    told = [entry for entry in entries if until_ms is None or _at_ms(entry) <= until_ms]
    if as_json:
        print_json(_document(told, entries))
    else:
        _print(told, entries)
    return not any(entry.broken for entry in entries)


def _document(told: list[Entry], entries: list[Entry]) -> dict[str, Any]:
    broken = [{"file": one.file.name, "line": one.number, "why": one.broken} for one in entries if one.broken]
    lines = [{"at": rfc3339(_at_ms(one) * NS_PER_MS)} | _told(one) for one in told]
    return {
        "schema": "edged.audit-actions/1",
        "actions": lines,
        "journal": {"lines": len(entries), "whole": not broken, "broken": broken},
    }


def _print(told: list[Entry], entries: list[Entry]) -> None:
    # What a program or a server said stands in it: no markup, and nothing that steers the terminal.
    page = Page(markup=False)
    if told:
        page.print(_table(told))
    else:
        page.print("no action was done yet; docs/actions.md says how rules name them")
    for entry in entries:
        if entry.broken:
            page.print(f"{entry.file.name} line {entry.number}: {entry.broken}")
    if not any(entry.broken for entry in entries):
        page.print(f"the log's {len(entries)} lines follow each other")


def _table(told: list[Entry]) -> Table:
    left = f" (the last {SHOWN} of {len(told)})" if len(told) > SHOWN else ""
    table = Table(title=f"what was done about events{left}")
    for heading in ("when", "action", "what", "pipeline", "rule", "phase", "why"):
        table.add_column(heading, overflow="fold")
    for entry in told[-SHOWN:]:
        fields = _told(entry)
        words = (str(fields.get(name) or "") for name in ("action", "what", "pipeline", "rule", "phase", "why"))
        table.add_row(rfc3339(_at_ms(entry) * NS_PER_MS), *words)
    return table


def _at_ms(entry: Entry) -> int:
    at_ms = entry.fields.get("at_ms")
    return at_ms if isinstance(at_ms, int) else 0


def _told(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry.fields.items() if name not in {"at_ms", "prev"}}
