"""Measured candidates in their order from best to lightest, and which of them another makes needless: pure.

docs/reference/choice.md tells the same in words; ``ORDERS`` and ``FIGURES`` are its tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edged.config.pipelines import Objective
from edged.control.accuracy import Grade
from edged.control.objective import Terms, fits
from edged.domain.bundle import Variant
from edged.domain.figures import Figures
from edged.domain.variant import Identity


@dataclass(frozen=True, slots=True)
class Candidate:
    """One measured way to run a model. ``place`` is the profile's wish and the manifest's order; ``share`` as in ``Rung``."""

    variant: Variant
    accelerator: str
    figures: Figures
    grade: Grade
    place: tuple[int, int]
    share: float = 0.0

    @property
    def threads(self) -> int:
        """As many as it was measured with."""
        return self.figures.threads

    @property
    def identity(self) -> Identity:
        """What tells it from the others, as in ``Rung``."""
        return self.variant.id, self.accelerator, self.threads


FIGURES: Mapping[str, Callable[[Candidate], float]] = {
    "accuracy": lambda candidate: candidate.grade.level,
    "latency": lambda candidate: candidate.figures.p99_ms,
    "rate": lambda candidate: candidate.figures.p50_ms,
    "energy": lambda candidate: candidate.figures.cpu_ms,
    "memory": lambda candidate: candidate.figures.peak_memory_mb,
}
"""What candidates are compared by; less is better in each."""

ORDERS: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("accuracy", "latency", "energy", "memory", "rate"),
    "latency": ("latency", "accuracy", "energy", "memory", "rate"),
    "memory": ("memory", "accuracy", "latency", "energy", "rate"),
    "energy": ("energy", "accuracy", "latency", "memory", "rate"),
}
"""By the objective's ``prefer``: the figure that decides, and those that decide between equals."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """``kept`` is the ladder, best first; ``dominated`` names with each candidate the one that makes it needless."""

    kept: tuple[Candidate, ...]
    dominated: tuple[tuple[Candidate, Candidate], ...]
    too_large: tuple[Candidate, ...]


def sort(candidates: Iterable[Candidate], terms: Terms) -> Sorted:
    """Give the ladder: what meets the objective comes first, best first, then what misses it, nearest first.

    What is dominated can be left out unseen: whatever the objective, the dominating candidate meets it too, and comes before.
    """
    ordered = sorted(candidates, key=lambda candidate: _rank(candidate, terms.objective))
    fitting = [candidate for candidate in ordered if fits(candidate.figures, terms)]
    kept, dominated = [], []
    for candidate in fitting:
        better = next((other for other in fitting if dominates(other, candidate)), None)
        if better is None:
            kept.append(candidate)
        else:
            dominated.append((candidate, better))
    too_large = sorted((one for one in ordered if not fits(one.figures, terms)), key=FIGURES["memory"])
    return Sorted(tuple(kept), tuple(dominated), tuple(too_large))


def dominates(one: Candidate, other: Candidate) -> bool:
    """Whether ``one`` is at least as good in every figure, and better in one."""
    pairs = [(figure(one), figure(other)) for figure in FIGURES.values()]
    return all(mine <= its for mine, its in pairs) and any(mine < its for mine, its in pairs)


def deciding(one: Candidate, other: Candidate, objective: Objective) -> str | None:
    """Name the figure that puts ``one`` before ``other``; None when all are equal."""
    return next((name for name in ORDERS[objective.prefer] if FIGURES[name](one) != FIGURES[name](other)), None)


def _rank(candidate: Candidate, objective: Objective) -> tuple[float, ...]:
    """Give the sort key, which is another for each candidate: at last the manifest's order and the threads tell them apart."""
    figures = (FIGURES[name](candidate) for name in ORDERS[objective.prefer])
    return (max(1.0, candidate.share), *figures, candidate.grade.place, *candidate.place, candidate.threads)
