"""Whether a better rung is enough better to take the place of the one that runs: figures vary, and a model must not flip with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edged.config.pipelines import Objective
from edged.control.objective import short
from edged.control.reasons import name
from edged.control.resolution import reach
from edged.domain.figures import Figures
from edged.domain.variant import Identity, Rung, Standing

STILL = 0.9
"""Of two measurements of one file p50 differs by some per cent; a tenth is more than that, and worth an exchange."""

DECIDES: Mapping[str, tuple[str, Callable[[Figures], float]]] = {
    "accuracy": ("rate", lambda figures: figures.p50_ms),
    "latency": ("rate", lambda figures: figures.p50_ms),
    "memory": ("memory", lambda figures: figures.peak_memory_mb),
    "energy": ("energy", lambda figures: figures.cpu_ms),
}
"""By the objective's ``prefer`` the figure that has to gain, with its name in ``resolution``; with accuracy, the one among equally
accurate rungs."""


def settle(rungs: Sequence[Rung], running: Identity | None, objective: Objective) -> list[Rung]:
    """Put first what shall run: the rung that runs, unless another is enough better. Without one that runs, the first."""
    now = next((rung for rung in rungs if rung.identity == running), None)
    if now is None or now is rungs[0]:
        return list(rungs)
    better = better_than_running(rungs, now, objective)
    first = better or replace(now, reason=_stays(now, rungs[0]), standing=_standing(now))
    return [first, *(rung for rung in rungs if rung.identity != first.identity)]


def better_than_running(rungs: Sequence[Rung], now: Rung, objective: Objective) -> Rung | None:
    """Give the best rung that may take the place of the one that runs; None when that one shall stay.

    What was not measured never does, and what was measured but misses the objective takes the place of nothing that may meet it.
    """
    ladder = [
        (rung, rung.figures) for rung in rungs if rung.standing in {"meets", "misses"} and rung.figures is not None
    ]
    its = now.figures
    if its is None:
        return next((best for best, _ in ladder[:1] if _is_better_than_unmeasured(best, now)), None)
    return next((rung for rung, mine in ladder if _is_better((rung, mine), (now, its), objective)), None)


def _is_better_than_unmeasured(best: Rung, now: Rung) -> bool:
    # With another number of threads the same file may be faster or slower: nobody knows before both are measured.
    is_same = (best.variant.id, best.accelerator) == (now.variant.id, now.accelerator)
    return best.standing == "meets" and not is_same


def _is_better(one: tuple[Rung, Figures], running: tuple[Rung, Figures], objective: Objective) -> bool:
    (rung, mine), (now, its) = one, running
    if now.share > 1:
        return rung.share <= 1 or rung.share <= STILL * now.share
    if rung.share > STILL:
        # It would just so meet the objective: the next measurement may say that it does not.
        return False
    if objective.prefer == "accuracy" and rung.level != now.level:
        return rung.level < now.level
    name_of_it, decides = DECIDES[objective.prefer]
    return decides(mine) <= STILL * decides(its) and decides(its) > reach(name_of_it, decides(mine))


def _stays(now: Rung, best: Rung) -> str:
    if now.figures is None:
        return f"runs, and is not measured yet; {now.reason}"
    return f"runs, and {name(best.identity)} is not a tenth better (p50 {short(now.figures.p50_ms)} ms)"


def _standing(now: Rung) -> Standing:
    if now.figures is None:
        return "unmeasured"
    return "meets" if now.share <= 1 else "misses"
