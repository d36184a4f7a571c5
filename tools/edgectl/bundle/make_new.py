"""``edgectl bundle new`` at the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgectl.bundle import terminal
from edgectl.bundle.draft import Draft, draft
from edgectl.bundle.facts import read_facts
from edgectl.bundle.new import write
from edgectl.plain import print_json
from edged.domain.errors import ConfigError

NAMED = frozenset({"classification", "detection", "segmentation"})
"""Tasks whose answers name classes."""
NO_KEYS = frozenset({"as_json", "files", "golden", "labels", "out"})
"""Flags that say what to do, and are no key of ``model.toml``."""


def run(given: Mapping[str, Any]) -> None:
    """Read the files, settle what they leave open, write the bundle, and tell where each value is from.

    ``given`` holds the command line by argument; None where a flag was not given.
    """
    flags = {key.rstrip("_"): value for key, value in given.items() if key not in NO_KEYS}
    for key in ("mean", "std"):
        flags[key] = _numbers(flags[key], key)
    if flags["steps"]:
        flags["steps"] = tuple(part.strip() for part in flags["steps"].split(","))
    facts = [read_facts(file) for file in given["files"]]
    asking = terminal.ask if terminal.can_ask() and not given["as_json"] else None
    plan = draft(facts, flags, _lines(given["labels"]), asking)
    folder = write(plan, given["out"] or Path(plan.name), given["golden"])
    _tell(plan, folder, as_json=given["as_json"])


def _tell(plan: Draft, folder: Path, *, as_json: bool) -> None:
    if as_json:
        answers = {one.key: {"value": one.value, "from": one.origin, "why": one.why} for one in plan.answers}
        document = {"schema": "edgectl.bundle.new/1", "name": plan.name, "folder": str(folder), "answers": answers}
        print_json({**document, "variants": [dict(table) for _, table in plan.variants]})
        return
    rows = [(one.key, terminal.told(one.value), one.origin, one.why) for one in plan.answers if one.value]
    terminal.print_table(("key", "value", "from", "why"), rows)
    assumed = [one.key for one in plan.answers if one.origin == "assumed" and one.key not in {"name", "version"}]
    if assumed:
        terminal.print_line(f"assumed, please check: {', '.join(assumed)}")
    if not plan.labels and plan.tables[""]["task"] in NAMED:
        terminal.print_line("no labels: classes are told by their number; --labels names them")
    terminal.print_line(f"written: {folder}; next: edgectl bundle quantize {folder} --calibrate FOLDER")


def _numbers(text: str | None, key: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        message = f"cannot use --{key} {text!r}: it is no number, expected one, or one a channel with commas between"
        raise ConfigError(message) from error


def _lines(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot read labels {file}: {error}, expected text with one label a line"
        raise ConfigError(message) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())
