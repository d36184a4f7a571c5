"""Figures that nobody measured, and a program that keeps some."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edged.assembly.figures_store import FiguresStore
from edged.domain.figures import Figures, Measured, Subject

SUBJECT = Subject("a" * 64, "tflite", "2.3.0", "cpu", "generic")
AT = "2026-11-21T12:00:00.000Z"


def measured(threads: int = 1, *, sha256: str = "a", at: str = AT, origin: str = "here") -> Measured:
    row = Figures(threads, 30, 2.0, 3.0, 2.0, 40.0, 12.0)
    return Measured(replace(SUBJECT, sha256=sha256 * 64), (row,), origin, at)


def keep_many(folder: Path, digits: str) -> None:
    """Run in a process of its own: a module that such a one can import, which a test's is not."""
    store = FiguresStore(folder)
    for digit in digits:
        store.keep(measured(sha256=digit))
