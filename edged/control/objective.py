"""What a pipeline asks of its model, held against figures: pure arithmetic.

docs/reference/choice.md has the formulas with their reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edged.config.pipelines import Objective
from edged.domain.figures import Figures

MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True)
class Terms:
    """The objective, and what it is held against on this box.

    ``overhead_ms`` is what the pipeline's own steps before and after the engine take; ``budget_mb`` is the memory that a model may
    add, in MiB, None without a bound.
    """

    objective: Objective = field(default_factory=Objective)
    overhead_ms: float = 0.0
    budget_mb: float | None = None

    def __str__(self) -> str:
        """Say what is asked: ``accuracy within 80 ms at 10 frames/s``."""
        latency_ms, fps = self.objective.latency_ms, self.objective.fps
        within = f" within {latency_ms:g} ms" if latency_ms is not None else ""
        return f"{self.objective.prefer}{within}{f' at {fps:g} frames/s' if fps is not None else ''}"


def latency_ms(figures: Figures, overhead_ms: float = 0.0) -> float:
    """Give a bound of the 95th percentile from capture to result.

    Of the engine's calls p50 and p99 are kept; p99 is never less than p95, and no shape of the tail has to be assumed.
    """
    return figures.p99_ms + overhead_ms


def frame_ms(figures: Figures, overhead_ms: float = 0.0) -> float:
    """Give the time that a frame takes when they come one after the other, as they do in a pipeline's one thread.

    Over many frames the usual one counts, not the slowest: p50.
    """
    return figures.p50_ms + overhead_ms


def fits(figures: Figures, terms: Terms) -> bool:
    """Whether the peak of its memory stays within the budget."""
    return terms.budget_mb is None or figures.peak_memory_mb <= terms.budget_mb


def share(figures: Figures, terms: Terms) -> float:
    """Give the part of the objective's time that is taken: 1 just meets it, 0 where no time is asked for."""
    return max((taken / allowed for _, taken, allowed, _ in _times(figures, terms)), default=0.0)


def account(figures: Figures, terms: Terms) -> str:
    """Say what is taken of what is allowed; empty when nothing is bounded."""
    return _said((*_times(figures, terms), *_memory(figures, terms)))


def shortfall(figures: Figures, terms: Terms) -> str:
    """Say the same of what is missed alone; empty when nothing is."""
    missed = [row for row in (*_times(figures, terms), *_memory(figures, terms)) if row[1] > row[2]]
    return _said(tuple(missed))


def short(value: float) -> str:
    """Write a figure for people: four digits, or the whole number where it has more."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"  # noqa: PLR2004 - beyond, %g writes powers of ten


def budget_mb(
    available_mb: float | None, headroom_mb: float | None, limit_mb: float | None, used_mb: float, freed_mb: float
) -> float | None:
    """Give the memory that a model may add, in MiB; None when nothing bounds it, never below 0.

    Args:
        available_mb: the machine's MemAvailable, which the other pipelines' use is no longer part of.
        headroom_mb: what the control groups still allow, likewise.
        limit_mb: the profile's bound for all of edged.
        used_mb: what edged uses now, counted against ``limit_mb``.
        freed_mb: what the model that runs in the same place gives back.
    """
    left = [bound for bound in (available_mb, headroom_mb) if bound is not None]
    left += [] if limit_mb is None else [limit_mb - used_mb]
    return max(0.0, min(left) + freed_mb) if left else None


_Row = tuple[str, float, float, str]
"""What is bounded, how much is taken, how much is allowed, and the unit."""


def _times(figures: Figures, terms: Terms) -> Iterator[_Row]:
    if terms.objective.latency_ms is not None:
        yield "latency", latency_ms(figures, terms.overhead_ms), terms.objective.latency_ms, "ms"
    if terms.objective.fps is not None:
        yield "a frame", frame_ms(figures, terms.overhead_ms), MS_PER_S / terms.objective.fps, "ms"


def _memory(figures: Figures, terms: Terms) -> Iterator[_Row]:
    if terms.budget_mb is not None:
        yield "memory", figures.peak_memory_mb, terms.budget_mb, "MiB"


def _said(rows: tuple[_Row, ...]) -> str:
    return ", ".join(f"{what} {short(taken)} of {short(allowed)} {unit}" for what, taken, allowed, unit in rows)
