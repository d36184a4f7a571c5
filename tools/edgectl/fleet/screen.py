"""The fleet for people: tables that fit 80 columns, and a rollout as bars that move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from edgectl import page
from edgectl.fleet.plan import Plan
from edgectl.fleet.rollout import FAILURES, Box, Decision, Outcome, Status
from edgectl.fleet.view import Device
from edged.update.rollout import State

WIDTH = 100
BAR = 40
COLORS = {
    Outcome.SUCCEEDED: "green",
    Outcome.UNDER_WAY: "cyan",
    Outcome.SENT: "blue",
    Outcome.QUEUED: "dim",
    Outcome.FAILED: "red",
    Outcome.ROLLED_BACK: "red",
    Outcome.TIMED_OUT: "red",
    Outcome.REJECTED: "yellow",
    Outcome.CANCELLED: "yellow",
}
MARKS = {Outcome.SUCCEEDED: "█", Outcome.UNDER_WAY: "▓", Outcome.SENT: "▒", Outcome.QUEUED: "░"}
WRONG = "✗"
"""Of everything else, where there are no colours."""
GRADES = {"ok": "green", "degraded": "yellow", "failed": "red"}
STATUSES = {Status.FINISHED: "green", Status.ABORTED: "red", Status.PAUSED: "yellow"}


def console() -> page.Page:
    """Give the terminal, or a page of fixed width where there is none."""
    return page.console(WIDTH, markup=True)


def boxes(devices: Sequence[Device]) -> Table:
    """List boxes: a line each, those in trouble first."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("device", "", "health", "profile"):
        made.add_column(name, no_wrap=True)
    made.add_column("models", overflow="fold")
    for one in sorted(devices, key=lambda device: (_trouble(device), device.name)):
        online = "[green]online[/]" if one.is_online else "[red]offline[/]"
        health = f"[{GRADES.get(one.health, 'white')}]{escape(one.health)}[/]"
        made.add_row(escape(one.name), online, health, escape(one.profile), escape(_models(one)))
    return made


def one_box(device: Device, wanted: Mapping[str, Any]) -> Group:
    """Show a box: why it is not well, what runs, what was ordered (the wanted version by model)."""
    lines: list[Any] = [boxes([device])]
    for reason in device.documents.get("health", {}).get("reasons", ()):
        told = {name: escape(str(reason.get(name, ""))) for name in ("component", "message", "remedy")}
        lines.append(
            f"[yellow]![/] {told['component']}: {told['message']}"
            + (f"\n  next: {told['remedy']}" if told["remedy"] else "")
        )
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("model", "state", "runs", "before", "ordered"):
        made.add_column(name)
    for told in device.models():
        versions = [_version(told, key) for key in ("active", "previous")]
        asked = wanted.get(str(told.get("name")), "-")
        cells = (str(told.get("name")), str(told.get("state", "")), *versions, str(asked))
        made.add_row(*(escape(cell) for cell in cells))
        if why := _why(told, device):
            lines.append(f"  {escape(str(told['name']))}: {escape(why)}")
    return Group(*lines, made)


def _why(told: Mapping[str, Any], device: Device) -> str:
    """Give the box's own word, or for what a release that is ready waits."""
    if told.get("reason") or told.get("state") != State.READY:
        return str(told.get("reason") or "")
    if device.documents["models"].get("clock") == "unsynced":
        return "waits until the box's clock is synchronised\n  next: edgectl doctor clock, on the box"
    return "waits for the box's own hours, [updates] window"


def rollout(
    plan: Plan, stages: Sequence[Sequence[str]], boxes_: Mapping[str, Box], decision: Decision, now_s: float
) -> Group:
    """Show a rollout: a bar a stage, and where it stands."""
    made = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"{plan.name}: {plan.model.name} {plan.model.version}",
        title_justify="left",
    )
    for name in ("stage", "boxes"):
        made.add_column(name, no_wrap=True, justify="right" if name == "boxes" else "left")
    for name in ("", "done", "failed", "open"):
        made.add_column(name, no_wrap=True, justify="right" if name else "left")
    for index, names in enumerate(stages):
        counts = Counter(boxes_[name].outcome(now_s, plan.timeout_s) for name in names)
        failed = sum(counts[one] for one in FAILURES)
        open_ = counts[Outcome.SENT] + counts[Outcome.UNDER_WAY]
        mark = "▸ " if index == decision.stage and decision.status not in {Status.FINISHED, Status.ABORTED} else "  "
        cells = (str(len(names)), bar(counts, len(names)), str(counts[Outcome.SUCCEEDED]), str(failed), str(open_))
        made.add_row(mark + escape(plan.stage[index].name), *cells)
    color = STATUSES.get(decision.status, "cyan")
    words = f"[{color}]{decision.status.value}[/]" + (f": {escape(decision.reason)}" if decision.reason else "")
    return Group(made, words)


def bar(counts: Mapping[Outcome, int], total: int) -> Text:
    """Draw a stage's boxes as a bar of fixed width; whoever is there at all gets a cell."""
    made = Text()
    used = 0
    present = [outcome for outcome in COLORS if counts.get(outcome)]
    for index, outcome in enumerate(present):
        rest = len(present) - index - 1
        cells = max(1, round(BAR * counts[outcome] / total)) if rest else BAR - used
        cells = max(1, min(cells, BAR - used - rest))
        made.append(MARKS.get(outcome, WRONG) * cells, COLORS[outcome])
        used += cells
    return made


def line(plan: Plan, boxes_: Mapping[str, Box], decision: Decision, now_s: float) -> str:
    """Say the same on one line, for a log."""
    counts = Counter(one.outcome(now_s, plan.timeout_s).value for one in boxes_.values())
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    stage = plan.stage[decision.stage].name
    return f"{plan.name} {stage} {decision.status.value}: {told or 'no boxes'}" + (
        f" ({decision.reason})" if decision.reason else ""
    )


def _trouble(device: Device) -> int:
    return (
        ["failed", "degraded"].index(device.health) if device.health in {"failed", "degraded"} else 2 + device.is_online
    )


def _models(device: Device) -> str:
    rows = []
    for told in device.models():
        version = _version(told, "active")
        state = told.get("state", "")
        rows.append(
            f"{told.get('name')} {version}" + (f" ({state})" if state not in {"committed", "active", ""} else "")
        )
    return ", ".join(rows)


def _version(told: Mapping[str, Any], key: str) -> str:
    held = told.get(key)
    return str(held.get("version", "-")) if isinstance(held, dict) else "-"
