"""Figures as they are kept and as they are found again: ``benchmarks.json``, a bundle's own, and ``edged explain --figures``.

A file is ``{"schema": "edged.benchmarks/1", "measured": [...]}``, each entry as ``edged.domain.figures.Measured`` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from statistics import median
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured

SCHEMA = "edged.benchmarks/1"
HERE = "here"
"""The ``origin`` of what this box measured itself; it stands over what came with a bundle."""

Table = Mapping[tuple[str, str], tuple[Figures, ...]]
"""Figures by variant id and accelerator, one entry a number of threads, the fewest first."""

MIDDLES = ("p50_ms", "p99_ms", "cpu_ms", "load_ms", "peak_memory_mb")


def to_document(measured: Iterable[Measured]) -> dict[str, Any]:
    """Write what was measured; the same values give the same document."""
    return {"schema": SCHEMA, "measured": [asdict(one) for one in measured]}


def read_measured(document: Any) -> tuple[Measured, ...]:
    """Read such a document. Raises ValueError with the first fault and where it stands."""
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        message = f"cannot read figures of schema {schema!r}, expected {SCHEMA!r}"
        raise ValueError(message)
    try:
        return _reader().validate_python(document.get("measured"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, ("measured", *first["loc"])))
        message = f"cannot read figures: {place}: {first['msg']}"
        raise ValueError(message) from error


def figures_of(
    measured: Sequence[Measured], bundle: Bundle, profile: str, versions: Mapping[str, str] | None = None
) -> Table:
    """Find the figures that hold for a bundle's files on a box.

    Args:
        measured: what is known, of any box and file.
        bundle: whose variants are looked for, by digest.
        profile: the box's; figures of another kind of box do not count.
        versions: the installed runtimes' versions; figures of another version do not count. None, and a runtime that is not in
            it: any version counts, as for another machine's tree.
    """
    return {
        (variant.id, accelerator): rows
        for variant in bundle.manifest.variant
        for accelerator in variant.accelerators
        if (rows := _rows(_fitting(measured, (variant.sha256, variant.runtime, accelerator, profile), versions or {})))
    }


def _fitting(
    measured: Sequence[Measured], wanted: tuple[str, str, str, str], versions: Mapping[str, str]
) -> list[Measured]:
    return [
        one
        for one in measured
        if (one.subject.sha256, one.subject.runtime, one.subject.accelerator, one.subject.profile) == wanted
        and versions.get(one.subject.runtime, one.subject.runtime_version) == one.subject.runtime_version
    ]


def _rows(found: Sequence[Measured]) -> tuple[Figures, ...]:
    """Give one row a number of threads: this box's own over a bundle's, then what was measured last."""
    rows: dict[int, list[Figures]] = {}
    for one in sorted(found, key=lambda one: (one.origin == HERE, one.at)):
        for threads in {figures.threads for figures in one.figures}:
            rows[threads] = [figures for figures in one.figures if figures.threads == threads]
    return tuple(middle(rows[threads]) for threads in sorted(rows))


def middle(rows: Sequence[Figures]) -> Figures:
    """Make one row of several measurements of one candidate: each figure is the median of theirs, ``runs`` the sum."""
    if len(rows) == 1:
        return rows[0]
    medians = {name: round(median(getattr(row, name) for row in rows), 4) for name in MIDDLES}
    return replace(rows[0], runs=sum(row.runs for row in rows), **medians)


@cache
def _reader() -> TypeAdapter[tuple[Measured, ...]]:
    # Built when first asked for: a daemon without figures pays nothing for it.
    return TypeAdapter(tuple[Measured, ...])
