"""Measures every figure, prints the table and writes it to RESULTS.md beside this file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path

import kept
import machine
from apart import apart
from figure import Effort, Figure

FIGURES = (
    "throughput",
    "reporting",
    "freshness",
    "delivery",
    "startup",
    "memory",
    "outbox",
    "cameras",
    "sharing",
    "serial_memory",
    "soak",
    "choice",
    "disturbance",
    "gate",
    "recording",
    "drift",
    "sandbox",
    "faults",
    "serving",
    "serving_more",
    "shortage",
    "updates",
    "downloading",
    "shadow",
    "activation",
    "fleet",
)
RESULTS = Path(__file__).with_name("RESULTS.md")
QUICK = Effort(share=0.1)
KEPT = Path(__file__).with_name("results.json")
HEADER = ("figure", "target", "measured", "reached", "spread", "best known", "when")

ABOUT = """# Figures

Written by `make bench`. Ratios compare two ways of doing the same within one run, in turns: half of the bare way, all of edged's, the
other half; each is the median of its pairs. A ratio by CPU time counts every thread of the process, and hardly feels what else the
machine does meanwhile. `--only` measures some figures anew; `when` says of each row when that was, in UTC.
"""
SUBSTITUTE = "EDGED_ASSETS is not set: a shipped model stands in for the reference ones, to which the targets apply."


def main() -> int:
    """Measure; 1 when a target was missed."""
    given = _arguments()
    load_before = os.getloadavg()[0]
    figures: list[Figure] = []
    for name in given.only or FIGURES:
        print(f"measuring {name} …", flush=True)
        for figure in _measured(name, QUICK if given.quick else Effort()):
            print(f"  {figure.what}: {figure.measured} (target {figure.target}); {figure.spread}", flush=True)
            figures.append(figure)
    notes = machine.describe(load_before) + ([] if os.environ.get("EDGED_ASSETS") else [SUBSTITUTE])
    rows = kept.merged(kept.read(KEPT), figures, datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"))
    text = "\n".join([ABOUT, *_table(rows), "", "Measured on", "", *(f"- {note}" for note in notes), ""])
    print(f"\n{text}")
    if not given.quick:
        kept.write(KEPT, rows)
        RESULTS.write_text(text, encoding="utf-8")
    return int(any(figure.reached is False for figure in figures))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a first look in about a minute; writes no file")
    parser.add_argument(
        "--only", nargs="+", choices=FIGURES, help="these figures alone; the others stay as they were measured last"
    )
    return parser.parse_args()


def _measured(name: str, effort: Effort) -> list[Figure]:
    """Measure in a process of its own: what one figure loads must be neither time nor shared memory of another."""
    return apart(_measure, name, effort)


def _measure(name: str, effort: Effort) -> list[Figure]:
    figures: list[Figure] = import_module(name).measure(effort)
    return figures


def _table(found: Iterable[kept.Row]) -> list[str]:
    rows = [" | ".join(HEADER), " | ".join("---" for _ in HEADER)]
    for figure, when in found:
        reached = {True: "yes", False: "**no**", None: "-"}[figure.reached]
        cells = (figure.what, figure.target, figure.measured, reached, figure.spread, figure.best_known, when)
        rows.append(" | ".join(cells))
    return [f"| {row} |" for row in rows]


if __name__ == "__main__":
    raise SystemExit(main())
