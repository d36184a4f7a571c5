"""``edgectl doctor``: what is wrong with a box, what shows it, and the command that mends it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from edgectl import doctor_hardware
from edgectl.doctor_rows import Ground, Group, Row, Status, document
from edged.assembly.box import survey_for
from edged.config.load import load
from edged.fleet.topics import rfc3339

CONFIG = Path("/etc/edged/edged.toml")
RECORD = "doctor.json"
FAULT = 1
WIDTH = 120
MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warn": ("warn", "yellow"),
    "fail": ("FAIL", "bold red"),
    "skipped": ("-", "dim"),
}

GROUPS: tuple[Group, ...] = (Group("hardware", "accelerators", doctor_hardware.rows),)
"""In the order of the report. A group's option has its name; without any of them all are run."""

app = typer.Typer(
    help="Say what is wrong with this box, what shows it, and what mends it.",
    invoke_without_command=True,
    subcommand_metavar="",
)


@app.callback()
def run(
    hardware: Annotated[bool, typer.Option("--hardware", help="Only the accelerators.")] = False,  # noqa: FBT002 - a flag
    walk: Annotated[bool, typer.Option("--walk", help="Ask whoever stands here to unplug and plug.")] = False,  # noqa: FBT002 - a flag
    config: Annotated[Path | None, typer.Option(help=f"The configuration (default: {CONFIG}).")] = None,
    record: Annotated[
        Path | None, typer.Option(help=f"Where the report is kept (default: {RECORD} in the state directory).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Check a box and say what mends what is wrong. Exit status 1 when anything fails."""
    asked = [name for name, is_asked in (("hardware", hardware),) if is_asked]
    groups = [group for group in GROUPS if not asked or group.name in asked]
    settings = load(config or CONFIG, required=config is not None, named=False).config
    ground = Ground(settings, survey_for(settings), _ask if walk and not as_json else None)
    rows = list(_shown(groups, ground, None if as_json else _console()))
    report = document(rows, ground, rfc3339(time.time_ns()), [group.name for group in groups])
    kept = _kept(record or settings.state.directory / RECORD, report)
    if as_json:
        sys.stdout.write(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    (sys.stderr if as_json else sys.stdout).write(f"{kept}\n")
    if report["fails"]:
        raise typer.Exit(FAULT)


def _shown(groups: Sequence[Group], ground: Ground, page: Console | None) -> Iterator[Row]:
    """Give the rows, and show each as it comes."""
    for group in groups:
        if page is not None:
            page.print(Text(group.title, style="bold"))
        for row in group.run(ground):
            if page is not None:
                page.print(_line(row))
            yield row


def _line(row: Row) -> Text:
    mark, style = MARKS[row.status]
    line = Text(f"{mark:>6}", style=style).append(f"  {row.subject}: {row.check}  ", style="default")
    line.append(row.evidence, style="dim")
    if row.remedy and row.status in {"warn", "fail"}:
        line.append(f"\n        → {row.remedy}", style="default")
    return line


def _console() -> Console:
    made = Console()
    return made if made.is_terminal else Console(highlight=False, width=WIDTH)


def _ask(question: str) -> bool:
    """Ask on the terminal; anything but a plain "s" (skip) says that it was done."""
    sys.stdout.write(f"        ? {question}, then press Enter (s skips): ")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    return bool(answer) and answer.strip().lower() != "s"


def _kept(file: Path, report: dict[str, Any]) -> str:
    """Keep the report; gives where it lies, or why it does not."""
    try:
        file.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        return f"not recorded in {file}: {error.strerror}"
    return f"recorded in {file}"
