"""What the commands print for people: plain text, made from the documents that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from edged.config.schema import Objective
from edged.control.objective import Terms

UNKNOWN = "unknown"


def hardware_text(document: dict[str, Any]) -> str:
    """Show an ``edged.hardware/1`` document."""
    unknown = {name: f"{UNKNOWN}: {reason}" for name, reason in document.get("absent", {}).items()}
    rows = [
        ("board", document["board"] or unknown.get("board")),
        ("soc", document["soc"] or unknown.get("soc")),
        ("architecture", document["arch"] or unknown.get("arch")),
        ("profile", document["profile"]),
        ("processors", _processors(document["cpu"], unknown.get("cpu.online", UNKNOWN))),
        ("int8", ", ".join(document["cpu"]["int8"]) or unknown.get("cpu.int8", "no instructions for it")),
        ("memory", _memory(document["memory_mb"], unknown.get("memory", UNKNOWN))),
    ]
    return "\n".join([*_table(rows), *_accelerators(document), *_runtimes(document), *_warnings(document)])


def _processors(cpu: dict[str, Any], unknown: str) -> str:
    online, allowed = cpu["online"], cpu["allowed"]
    limit = f"{allowed:g} allowed" if allowed is not None and allowed != online else ""
    return _limited(unknown if online is None else f"{online} online", limit, is_known=online is not None)


def _memory(memory: dict[str, Any], unknown: str) -> str:
    total = memory["total"]
    limit = f"limited to {memory['limit']} MiB" if memory["limit"] is not None else ""
    return _limited(unknown if total is None else f"{total} MiB", limit, is_known=total is not None)


def _limited(whole: str, limit: str, *, is_known: bool) -> str:
    # A reason may have commas of its own.
    return (", " if is_known else "; ").join(filter(None, [whole, limit]))


def _accelerators(document: dict[str, Any]) -> Iterator[str]:
    yield "\naccelerators"
    if not document["accelerators"]:
        yield f"  {_no_accelerators(document)}"
    for found in document["accelerators"]:
        usable = "usable" if found["usable"] else "NOT usable"
        yield f"  {found['kind']} ({found['bus']}): {usable}, {found['state']}{_tail(found['reason'])}"
        yield from (f"      {one['path']}: {one['value']}" for one in found["evidence"])


def _no_accelerators(document: dict[str, Any]) -> str:
    reason: str | None = document.get("absent", {}).get("accelerators")
    if reason is None:
        return "none found"
    return reason if "accelerators" in document["evidence"] else f"{UNKNOWN}: {reason}"


def _runtimes(document: dict[str, Any]) -> Iterator[str]:
    if document.get("runtimes"):
        yield "\nruntimes"
    for found in document.get("runtimes", ()):
        yield f"  {found['runtime']}: {found['distribution']} {found['version']}{_tail(found['note'])}"


def _warnings(document: dict[str, Any]) -> Iterator[str]:
    if document["warnings"]:
        yield "\nwarnings"
    for found in document["warnings"]:
        yield f"  {found['code']}: {found['remedy']}"
        yield from (f"      {one['path']}: {one['value']}" for one in found["evidence"])


def ladder_text(document: dict[str, Any]) -> str:
    """Show an ``edged.explain/1`` document: a line a rung, best first, with its figures where any were measured.

    Below stands the reason, once for neighbours that share it; of what is refused, those with one reason are neighbours.
    """
    asked = Terms(Objective.model_validate(document["objective"]))
    lines = [f"{document['model']} {document['version']}, profile {document['profile']}, asked for {asked}"]
    lines += [f"NOT met: {document['unmet']}"] if document["unmet"] else []
    rungs = sorted(document["variants"], key=_refusals(document["variants"]))
    columns = [column for column in COLUMNS if column.is_always or any(rung["figures"] for rung in rungs)]
    rows = [[column.title for column in columns], *([column.cell(rung) for column in columns] for rung in rungs)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    head, *table = [
        "  ".join(
            column.aligned(cell, width) for column, cell, width in zip(columns, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    lines += ["", head]
    for reason, group in groupby(zip(table, rungs, strict=True), key=lambda pair: pair[1]["reason"]):
        lines += [*(line for line, _ in group), f"{REASON_INDENT}{reason}"]
    return "\n".join(lines)


def _refusals(rungs: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any]], int]:
    """Give a sort key that leaves everything as it is but the refused rungs: those stand by their reasons."""
    reasons = list(dict.fromkeys(rung["reason"] for rung in rungs if rung["verdict"] == "refused"))
    return lambda rung: 1 + reasons.index(rung["reason"]) if rung["verdict"] == "refused" else 0


@dataclass(frozen=True, slots=True)
class Column:
    """One of a ladder's columns; ``is_always``: also where nothing was measured."""

    title: str
    cell: Callable[[dict[str, Any]], str]
    is_always: bool = True
    is_number: bool = False

    def aligned(self, cell: str, width: int) -> str:
        """Words begin below each other, numbers end there."""
        return cell.rjust(width) if self.is_number else cell.ljust(width)


def _accuracy(rung: dict[str, Any]) -> str:
    accuracy = rung["accuracy"]
    return f"{accuracy['metric']} {accuracy['value']:.3f}" if accuracy else ""


def _figure(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda rung: f"{rung['figures'][name]:.2f}" if rung["figures"] else ""


MARKS = {"chosen": "* chosen", "possible": "  possible", "refused": "x refused"}
REASON_INDENT = " " * 14
COLUMNS = (
    Column("", lambda rung: MARKS[rung["verdict"]]),
    Column("variant", lambda rung: rung["id"]),
    Column("runs as", lambda rung: f"{rung['runtime']} on {rung['accelerator']}"),
    Column("precision", lambda rung: rung["precision"]),
    Column("accuracy", _accuracy),
    Column("threads", lambda rung: str(rung["threads"] or ""), is_number=True),
    Column("p50 ms", _figure("p50_ms"), is_always=False, is_number=True),
    Column("p99 ms", _figure("p99_ms"), is_always=False, is_number=True),
    Column("cpu ms", _figure("cpu_ms"), is_always=False, is_number=True),
    Column("load ms", _figure("load_ms"), is_always=False, is_number=True),
    Column("MiB", _figure("peak_memory_mb"), is_always=False, is_number=True),
)


def models_text(document: dict[str, Any]) -> str:
    """Show an ``edged.models/1`` document."""
    lines: list[str] = []
    for one in document["models"]:
        lines.append(f"{one['name']}: {one['state']}{_tail(one['reason'])}")
        active, previous = one["active"], one["previous"]
        rows = [
            ("  active", active and f"{active['version']}  {active['digest'][:12]}"),
            ("  previous", previous and f"{previous['version']}  {previous['digest'][:12]}"),
        ]
        rows += [("  found", f"{found['version']}  {found['folder']}") for found in one["found"]]
        rows += [("  quarantined", f"{held['version']}: {held['reason']}") for held in one["quarantined"]]
        lines += _table([row for row in rows if row[1]])
    for refused in document["refused"]:
        lines += [f"refused {refused['folder']}", *(f"  {fault}" for fault in refused["faults"])]
    return "\n".join(lines) or "no models found"


def _table(rows: Sequence[tuple[str, Any]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name.ljust(width)}  {UNKNOWN if value is None else value}" for name, value in rows]


def _tail(text: str) -> str:
    return f": {text}" if text else ""
