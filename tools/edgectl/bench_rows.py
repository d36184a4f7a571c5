"""What ``edgectl bench`` tells of each way to run a model: values made from what was measured, and held against an earlier run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from typing import Any, Literal

from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured, Subject
from edged.domain.variant import Ladder, Rung

LEAST_NOISE = 0.05
"""Between two runs of one file on one quiet box medians differ by some per cent, whatever the calls of each say."""
SIGMAS = 3.0
NORMAL_P99 = 2.33
"""Standard deviations from the median to the 99th percentile of a normal distribution."""
MEDIAN_ERROR = 1.253
"""The standard error of a median is so many times that of a mean (a normal distribution's; the square root of pi / 2)."""

Verdict = Literal["better", "worse", "same", "new"]


@dataclass(frozen=True, slots=True)
class Row:
    """One way to run the model. ``figures`` is None where it could not be measured, and ``note`` says why or what to know."""

    model: str
    variant: str
    runtime: str
    accelerator: str
    threads: int
    accuracy: str
    figures: Figures | None
    chosen: bool = False
    note: str = ""
    ratio: float | None = None
    """p50 now ÷ p50 of the run that it is compared with."""
    verdict: Verdict | None = None

    @property
    def name(self) -> str:
        """Name it in a plot."""
        where = "" if self.accelerator == "cpu" else f" {self.accelerator}"
        return f"{self.variant}{where}" + (f" x{self.threads}" if self.threads else "")

    def document(self) -> dict[str, Any]:
        """Write it as JSON carries it."""
        return asdict(self)


def accuracy_words(bundle: Bundle, variant: str) -> str:
    """Write a variant's accuracy; empty when the bundle gives none."""
    found = next((one.accuracy for one in bundle.manifest.variant if one.id == variant), None)
    return f"{found.metric} {found.value:.3f}" if found else ""


def with_choice(rows: Sequence[Row], ladder: Ladder) -> list[Row]:
    """Mark the row that runs, with the reason; the first of the ladder when it was not among those measured has no mark."""
    runnable = ladder.runnable
    if not runnable:
        return list(rows)
    chosen = runnable[0]
    return [_marked(row, chosen) for row in rows]


def compared(
    rows: Sequence[Row], subjects: Mapping[tuple[str, str, str], Subject], before: Iterable[Measured]
) -> list[Row]:
    """Hold rows against an earlier run: of the same file on the same accelerator with as many threads; another runtime version counts.

    ``subjects`` are those of the rows, by model, variant and accelerator.
    """
    kept: dict[tuple[str, str, int], Figures] = {}
    for one in sorted(before, key=lambda one: one.at):
        kept |= {(one.subject.sha256, one.subject.accelerator, row.threads): row for row in one.figures}
    return [
        row
        if row.figures is None
        else _held(
            row, kept.get((subjects[row.model, row.variant, row.accelerator].sha256, row.accelerator, row.threads))
        )
        for row in rows
    ]


def verdict(now: Figures, before: Figures) -> Verdict:
    """Say whether a median differs by more than noise: three standard errors of both medians, and 5 % at least."""
    noise = max(LEAST_NOISE, SIGMAS * sqrt(_relative_error(now) ** 2 + _relative_error(before) ** 2))
    ratio = now.p50_ms / before.p50_ms if before.p50_ms else 1.0
    if ratio > 1 + noise:
        return "worse"
    return "better" if ratio < 1 / (1 + noise) else "same"


def _relative_error(figures: Figures) -> float:
    if not figures.p50_ms:
        return 0.0
    deviation = (figures.p99_ms - figures.p50_ms) / NORMAL_P99
    return MEDIAN_ERROR * deviation / figures.p50_ms / sqrt(figures.runs)


def _held(row: Row, before: Figures | None) -> Row:
    if row.figures is None:
        return row
    if before is None:
        return replace(row, verdict="new")
    ratio = row.figures.p50_ms / before.p50_ms if before.p50_ms else None
    return replace(row, ratio=ratio, verdict=verdict(row.figures, before))


def _marked(row: Row, chosen: Rung) -> Row:
    if (row.variant, row.accelerator, row.threads) != chosen.identity:
        return row
    note = f"{row.note}; {chosen.reason}" if row.note else chosen.reason
    return replace(row, chosen=True, note=note)
