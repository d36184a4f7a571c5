"""Why a measured candidate stands where it does, in words with numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edged.control.ladder import Candidate, deciding
from edged.control.objective import Terms, account, short, shortfall
from edged.domain.variant import Identity


def name(identity: Identity) -> str:
    """Name a rung as reasons do: ``tflite-int8 on cpu with 2 threads``."""
    variant, accelerator, threads = identity
    return f"{variant} on {accelerator} with {threads} thread{'' if threads == 1 else 's'}"


BEST: Mapping[str, str] = {
    "accuracy": "the fastest of the most accurate",
    "latency": "the fastest",
    "memory": "the smallest in memory",
    "energy": "the least processor time",
}
"""What the first of a ladder is, by the objective's ``prefer``."""


@dataclass(frozen=True, slots=True)
class Figure:
    """How one of ``ladder.FIGURES`` is told: what is said of the candidate that it puts behind, and its name and value."""

    worse: str
    told: Callable[[Candidate], tuple[str, str]]

    def of(self, one: Candidate) -> str:
        """Tell it of one candidate: ``p99 20 ms``."""
        return " ".join(self.told(one)).strip()

    def both(self, one: Candidate, other: Candidate) -> str:
        """Tell it of two: ``p99 20 ms against 15 ms``."""
        (name, mine), (its_name, its) = self.told(one), self.told(other)
        return f"{name} {mine} against {its if name == its_name else f'{its_name} {its}'}".strip()


def _accuracy(one: Candidate) -> tuple[str, str]:
    """Give the accuracy as the manifest has it, or what stands for it."""
    figure = one.variant.accuracy
    return (figure.metric, f"{figure.value:.3f}") if figure else ("", one.variant.precision)


TOLD: Mapping[str, Figure] = {
    "accuracy": Figure("less accurate", _accuracy),
    "latency": Figure("slower", lambda one: ("p99", f"{short(one.figures.p99_ms)} ms")),
    "rate": Figure("slower", lambda one: ("p50", f"{short(one.figures.p50_ms)} ms")),
    "energy": Figure("more processor time", lambda one: ("cpu", f"{short(one.figures.cpu_ms)} ms")),
    "memory": Figure("larger", lambda one: ("memory", f"{short(one.figures.peak_memory_mb)} MiB")),
}
"""By the names of ``ladder.FIGURES``."""


def first(one: Candidate, terms: Terms) -> str:
    """Say why this one runs."""
    missed = shortfall(one.figures, terms)
    if missed:
        return f"the nearest to the objective, which it misses: {missed}"
    best, accuracy = BEST[terms.objective.prefer], TOLD["accuracy"].of(one)
    if one.share:
        return f"{best} that meets the objective: {accuracy}, {account(one.figures, terms)}"
    return f"{best}: {accuracy}, {TOLD['rate'].of(one)}, {TOLD['memory'].of(one)}"


def later(one: Candidate, best: Candidate, terms: Terms) -> str:
    """Say why this one does not run, although nothing dominates it."""
    missed = shortfall(one.figures, terms)
    if missed:
        return f"misses the objective: {missed}"
    figure = deciding(best, one, terms.objective)
    if figure is None:
        return f"as good as {name(best.identity)} as far as can be measured, and behind it in the profile"
    return f"{TOLD[figure].worse} than {name(best.identity)}: {TOLD[figure].both(one, best)}"


def needless(one: Candidate, better: Candidate) -> str:
    """Say what makes this one needless, with the figures of both."""
    told = {figure: how.both(one, better) for figure, how in TOLD.items()}
    if one.grade.level == better.grade.level and one.grade.place != better.grade.place:
        told["accuracy"] += " (a tie)"
    return f"dominated by {name(better.identity)}: {', '.join(told.values())}"


def too_large(one: Candidate, terms: Terms) -> str:
    """Say that there is no room for it."""
    return f"needs more memory than there is: {shortfall(one.figures, Terms(budget_mb=terms.budget_mb))}"


def unmet(one: Candidate, terms: Terms, unmeasured: int) -> str:
    """Say that the objective is not met, for the health of the box; empty when it is."""
    missed = shortfall(one.figures, terms)
    if not missed:
        return ""
    rest = f"; not measured yet: {unmeasured} more" if unmeasured else ""
    return f"cannot meet {terms}: {name(one.identity)} comes nearest, with {missed}{rest}"
