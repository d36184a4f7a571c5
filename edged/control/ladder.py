"""Measured candidates in their order from best to lightest, and which of them another makes needless: pure.

docs/reference/choice.md tells the same in words; ``ORDERS`` and ``FIGURES`` are its tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edged.config.pipelines import Objective
from edged.control.accuracy import Grade
from edged.control.objective import Terms, fits
from edged.control.resolution import reach
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
    "accuracy": ("accuracy", "rate", "energy", "memory"),
    "latency": ("rate", "accuracy", "energy", "memory"),
    "memory": ("memory", "accuracy", "rate", "energy"),
    "energy": ("energy", "accuracy", "rate", "memory"),
}
"""By the objective's ``prefer``: the figure that decides, and those that decide between equals.

p99 says whether the objective is met, and no more: of 200 calls it is the second slowest, and differs by a third from one measurement to
the next, p50 by some per cent.
"""


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
    every = _ordered(candidates, terms.objective)
    fitting = [one for one in every if fits(one.figures, terms)]
    kept, dominated = [], []
    for candidate in fitting:
        better = next((other for other in fitting if dominates(other, candidate)), None)
        if better is None:
            kept.append(candidate)
        else:
            dominated.append((candidate, better))
    too_large = sorted((one for one in every if not fits(one.figures, terms)), key=FIGURES["memory"])
    return Sorted(tuple(kept), tuple(dominated), tuple(too_large))


def dominates(one: Candidate, other: Candidate) -> bool:
    """Whether ``one`` is at least as good in every figure, and better by more than a measurement's error in one that decides."""
    is_worse = any(figure(one) > figure(other) for figure in FIGURES.values())
    return not is_worse and any(_is_behind(name, other, one) for name in ORDERS["accuracy"])


def deciding(one: Candidate, other: Candidate, objective: Objective) -> str | None:
    """Name the figure that puts ``one`` before ``other``; None when they are equal as far as can be measured."""
    return next((name for name in ORDERS[objective.prefer] if _is_behind(name, other, one)), None)


def _ordered(candidates: Iterable[Candidate], objective: Objective) -> list[Candidate]:
    """Take the best, then the best of the others, and so on: that two are equal does not make a third equal to both."""
    left, found = list(candidates), []
    while left:
        found.append(_best(left, objective))
        left.remove(found[-1])
    return found


def _best(candidates: list[Candidate], objective: Objective) -> Candidate:
    """Give the first by place of those that are the best, figure by figure, as far as can be measured."""
    nearest = min(max(1.0, one.share) for one in candidates)
    left = [one for one in candidates if max(1.0, one.share) == nearest]
    for name in ORDERS[objective.prefer]:
        least = min(FIGURES[name](one) for one in left)
        left = [one for one in left if FIGURES[name](one) <= reach(name, least)]
    return min(left, key=_place)


def _is_behind(name: str, one: Candidate, other: Candidate) -> bool:
    return FIGURES[name](one) > reach(name, FIGURES[name](other))


def _place(candidate: Candidate) -> tuple[int, ...]:
    """Give what tells equals apart, another for each: plain accuracy, the profile's wish, the manifest's order, the threads."""
    return candidate.grade.place, *candidate.place, candidate.threads
