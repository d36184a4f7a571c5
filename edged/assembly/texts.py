"""What the commands print for people: plain text, made from the documents that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

UNKNOWN = "unknown"


def hardware_text(document: dict[str, Any]) -> str:
    """Show an ``edged.hardware/1`` document."""
    cpu, memory = document["cpu"], document["memory_mb"]
    rows = [
        ("board", document["board"]),
        ("soc", document["soc"]),
        ("architecture", document["arch"]),
        ("profile", document["profile"]),
        ("processors", _processors(cpu)),
        ("int8", ", ".join(cpu["int8"]) or "no instructions for it"),
        ("memory", _memory(memory)),
    ]
    return "\n".join([*_table(rows), *_accelerators(document), *_runtimes(document), *_warnings(document)])


def _processors(cpu: dict[str, Any]) -> str:
    online, allowed = cpu["online"], cpu["allowed"]
    if online is None:
        return UNKNOWN
    return f"{online} online" + (f", {allowed:g} allowed" if allowed is not None and allowed != online else "")


def _memory(memory: dict[str, Any]) -> str:
    total = UNKNOWN if memory["total"] is None else f"{memory['total']} MiB"
    return total + (f", limited to {memory['limit']} MiB" if memory["limit"] is not None else "")


def _accelerators(document: dict[str, Any]) -> Iterator[str]:
    yield "\naccelerators"
    if not document["accelerators"]:
        yield "  none found"
    for found in document["accelerators"]:
        usable = "usable" if found["usable"] else "NOT usable"
        yield f"  {found['kind']} ({found['bus']}): {usable}, {found['state']}{_tail(found['reason'])}"
        yield from (f"      {one['path']}: {one['value']}" for one in found["evidence"])


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
    """Show an ``edged.explain/1`` document: a line a variant, best first, the reason below it."""
    lines = [f"{document['model']} {document['version']}, profile {document['profile']}", ""]
    marks = {"chosen": "* chosen  ", "possible": "  possible", "refused": "x refused "}
    for rung in document["variants"]:
        how = f"{rung['runtime']} on {rung['accelerator']}, {rung['precision']}"
        threads = f", {_count(rung['threads'], 'thread')}" if rung["threads"] else ""
        accuracy = rung["accuracy"]
        figure = f", {accuracy['metric']} {accuracy['value']:.3f}" if accuracy else ""
        lines += [f"{marks[rung['verdict']]}  {rung['id']}: {how}{threads}{figure}", f"              {rung['reason']}"]
    return "\n".join(lines)


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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
