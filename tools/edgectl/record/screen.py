"""Recordings for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Make the table: a line a recording; what cannot be read is told in its place."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("recording", no_wrap=True)
    for name in ("s", "inputs", "events", "MB"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("model")
    for one in found:
        size = f"{one['bytes'] / 1e6:.1f}"
        if one["fault"]:
            made.add_row(one["id"], "", "", "", size, Text(one["fault"].split(": ", 1)[-1], "red"))
            continue
        counts = one["counts"]
        models = ", ".join(f"{model['name']} {model['version']} {model['variant']}" for model in one["models"])
        lost = f" (+{counts['missed']} lost)" if counts["missed"] else ""
        made.add_row(
            one["id"],
            f"{one['seconds']:.1f}",
            f"{counts['inputs']}{lost}",
            str(counts["events"]),
            size,
            models,
        )
    return made


def shown(document: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines that tell of one recording."""
    counts = document["counts"]
    yield f"{document['id']}: {document['pipeline']} on {document['device']}, edged {document['edged']}"
    why = "somebody asked" if document["why"] == "asked" else f"of rule {document['why']}"
    yield f"{document['seconds']:.1f} s from {document['began_at']} to {document['ended_at']}, since {why}"
    inputs = f"{counts['inputs']} inputs ({document['quality']}, {counts['missed']} lost)"
    yield f"{inputs}, {counts['results']} results, {document['bytes'] / 1e6:.1f} MB"
    if document["short"]:
        yield "the time before is shorter than asked for: record.memory_bytes did not suffice"
    for model in document["models"]:
        words = (model[key] for key in ("name", "version", "variant", "runtime", "accelerator", "digest"))
        yield f"model: {' '.join(words)}"
    for event in document["events"]:
        yield f"event: {event['rule']} {event['phase']} at input {event['frame']}, {event['source_s']:.2f} s, since {event['since']}"
    yield from _felt(document["readings"])


def _felt(readings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Tell the span of each reading that there was."""
    for name in sorted({key for row in readings for key in row}):
        numbers = [row[name] for row in readings if isinstance(row.get(name), int | float) and name != "mono_ms"]
        if numbers:
            yield f"{name}: {min(numbers):.5g} to {max(numbers):.5g}"
