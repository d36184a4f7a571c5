"""``edgectl audit``: which digest of which model gave the results of a moment, and by whose order."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from edgectl import audit_actions
from edgectl.options import CONFIG, FAULT, AsJson, ConfigFile, StateFolder, alone
from edgectl.page import console
from edgectl.plain import print_json
from edged.config.load import load
from edged.domain.errors import ConfigError
from edged.domain.strict import unix_ms
from edged.fleet.topics import rfc3339
from edged.hardware.clock import SystemClock
from edged.update.audit import Served, happened, live_at
from edged.update.disk import LocalDisk
from edged.update.journal import Entry, read_journal
from edged.update.records import Records

NS_PER_MS = 1_000_000

app = alone("Tell which digest of which model gave the results of a moment, and by whose order.")


@app.callback()
def run(
    at: Annotated[str, typer.Option(help="The moment, RFC 3339 such as 2026-11-21T08:30:00Z. Default: now.")] = "",
    model: Annotated[str, typer.Option(help="This model alone.")] = "",
    config: ConfigFile = None,
    state: StateFolder = None,
    actions: Annotated[bool, typer.Option("--actions", help="What was done about events instead.")] = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - as above
) -> None:
    """Tell what was live, as the box's journal has it. Works beside a running daemon and without one; exit 1: the journal was altered."""
    at_ms = _moment(at)
    folder = state or load(config or CONFIG, required=config is not None, named=False).config.state.directory
    if actions:
        if not audit_actions.show(folder, at_ms if at else None, as_json=as_json):
            raise typer.Exit(FAULT)
        return
    entries = list(read_journal(folder))
    found = [one for one in live_at(_made(entries, folder), at_ms) if model in {"", one.model}]
    broken = [entry for entry in entries if entry.broken]
    if as_json:
        print_json(document(at_ms, found, entries))
    else:
        _print(at_ms, found, entries)
    if broken:
        raise typer.Exit(FAULT)


def document(at_ms: int, found: list[Served], entries: list[Entry]) -> dict[str, Any]:
    """Give it as JSON has it."""
    broken = [{"file": one.file.name, "line": one.number, "why": one.broken} for one in entries if one.broken]
    return {
        "schema": "edged.audit/1",
        "at": rfc3339(at_ms * NS_PER_MS),
        "models": [{**one.told(), "since": rfc3339(one.since_ms * NS_PER_MS)} for one in found],
        "journal": {"lines": len(entries), "whole": not broken, "broken": broken},
    }


def _made(entries: list[Entry], folder: Path) -> list[Entry]:
    records = Records(folder, LocalDisk(), SystemClock())
    named = {str(entry.fields.get("model")) for entry in entries}
    return happened(entries, {name: records.pointer(name).seq for name in named})


def _print(at_ms: int, found: list[Served], entries: list[Entry]) -> None:
    page = console()
    page.print(
        f"{'live' if found else 'no model was live, as far as the journal tells,'} at {rfc3339(at_ms * NS_PER_MS)}"
    )
    for one in found:
        page.print(_about(one))
    for entry in entries:
        if entry.broken:
            page.print(f"{entry.file.name} line {entry.number}: {entry.broken}")
    if not any(entry.broken for entry in entries):
        page.print(f"the journal's {len(entries)} lines follow each other")


def _about(one: Served) -> Text:
    """Tell of a model in lines that 80 columns hold, a digest whole on one of them."""
    dated = "" if one.is_dated else " (clock unsynced)"
    text = Text("\n").append(f"{one.model} {one.version}", "bold")
    text.append(f"\n  since {rfc3339(one.since_ms * NS_PER_MS)}{dated}, by order of {_by(one)}")
    text.append(f"\n  {one.event}: {one.reason}" if one.reason else "")
    for name, digest in one.variants.items():
        text.append(f"\n  {name}\n    ").append(f"sha256:{digest}", "dim")
    return text


def _by(one: Served) -> str:
    order = one.order
    if order is None:
        return "nobody: it lay in a folder"
    campaign = f", campaign {order['campaign']}" if order.get("campaign") else ""
    return f"{order.get('by') or 'unnamed'} (order {order['seq']} for {order['audience']}{campaign})"


def _moment(told: str) -> int:
    if not told:
        return int(datetime.now(timezone.utc).timestamp() * 1000)
    at_ms = unix_ms(told)
    if at_ms is None:
        message = f"cannot read the moment {told!r}, expected RFC 3339 such as 2026-11-21T08:30:00Z"
        raise ConfigError(message)
    return at_ms
