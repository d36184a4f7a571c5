"""What ``edgectl doctor`` shows on a terminal: a line a check, and below it what mends what is wrong, whole, as a command to copy."""

from __future__ import annotations

from rich.text import Text

from edgectl.checks.rows import Report, Row, Status
from edgectl.checks.run import ELSEWHERE, UNUSABLE
from edgectl.checks.table import GROUPS
from edgectl.page import console

INDENT = 8
MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "warn": ("warn", "yellow"),
    "fail": ("FAIL", "bold red"),
    "skipped": ("-", "dim"),
}
WORDS: dict[Status, str] = {"fail": "failed", "warn": "to look at", "ok": "fine", "skipped": "skipped"}

COMMANDS = frozenset(
    (
        *(
            "cd",
            "curl",
            "edgectl",
            "for",
            "getent",
            "grep",
            "iostat",
            "journalctl",
            "ls",
            "nc",
            "openssl",
            "printf",
            "ps",
            "python3",
        ),
        *("sudo", "sudoedit", "v4l2-ctl"),
    )
)
"""What remedies begin with that are commands."""


class Screen:
    """Shows rows as they are found, below the name of their group."""

    def __init__(self, *, only_faults: bool = False) -> None:
        self._page = console()
        self._only_faults = only_faults
        self._group = ""
        self._skipped: list[Row] = []
        self._left_out: dict[str, list[str]] = {}

    def show(self, row: Row) -> None:
        """Show a row; neighbours that are skipped for one reason share a line, and what was not run at all has one at the end."""
        if row.evidence in {ELSEWHERE, UNUSABLE}:
            self._left_out.setdefault(row.evidence, []).append(row.check)
            return
        if self._skipped and not _are_alike(self._skipped[0], row):
            self._show_skipped()
        if row.status == "skipped":
            self._skipped.append(row)
        else:
            self._show(row, row.check)

    def sum_up(self, report: Report) -> None:
        """Say what was left out, and how many of each there were."""
        self._show_skipped()
        for why, checks in self._left_out.items():
            self._indented(Text(f"not looked at ({why}): {', '.join(checks)}", style="dim"), 0)
        counts = report.counts
        told = ", ".join(f"{counts[status]} {word}" for status, word in WORDS.items() if counts[status])
        style = "bold red" if counts["fail"] else "yellow" if counts["warn"] else "green"
        device = report.ground.config.device.id
        self._page.print(Text(f"{device}: {told or 'nothing to check'}", style=style))

    def _show_skipped(self) -> None:
        if self._skipped:
            self._show(self._skipped[0], ", ".join(row.check for row in self._skipped))
            self._skipped = []

    def _show(self, row: Row, checks: str) -> None:
        is_fault = row.status in {"warn", "fail"}
        if self._only_faults and not is_fault:
            return
        if row.group != self._group:
            self._group = row.group
            self._page.print(Text(GROUPS[row.group], style="bold"))
        mark, style = MARKS[row.status]
        head = Text.assemble((f"{mark:>{INDENT - 2}}", style), f"  {row.subject}: {checks}")
        told = head + Text(f"  {row.evidence}", style="dim")
        if told.cell_len <= self._page.width:
            self._page.print(told)
        else:
            self._indented(Text(f"{row.subject}: {checks}"), INDENT, Text.assemble((f"{mark:>{INDENT - 2}}  ", style)))
            self._indented(Text(row.evidence, style="dim"), INDENT)
        if row.remedy and is_fault:
            self._remedy(row.remedy)

    def _remedy(self, remedy: str) -> None:
        if is_command(remedy):
            # The terminal may break it, never this program: what is copied is the command.
            self._page.print(Text(f"{' ' * INDENT}$ {remedy}"), soft_wrap=True)
        else:
            self._indented(Text(f"→ {remedy}"), INDENT)

    def _indented(self, text: Text, indent: int, before: Text | None = None) -> None:
        """Fold a text at its words; ``before`` stands in front of its first line."""
        for number, line in enumerate(text.wrap(self._page, self._page.width - indent)):
            line.rstrip()
            head = before if before is not None and number == 0 else Text(" " * indent)
            self._page.print(head + line, soft_wrap=True)


def is_command(remedy: str) -> bool:
    """Whether a remedy is a command to copy; what only a person can do is told in words."""
    return remedy.startswith("/") or remedy.partition(" ")[0] in COMMANDS


def _are_alike(one: Row, other: Row) -> bool:
    return (one.group, one.subject, one.status, one.evidence) == (
        other.group,
        other.subject,
        other.status,
        other.evidence,
    )
