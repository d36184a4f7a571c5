"""Which rungs one more measurement may bring to the top: those are measured several times. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from edged.control.resolution import LEAST_MS, reach
from edged.domain.figures import Figures
from edged.domain.variant import Identity, Rung

FAR = 1.5
"""One measurement may come out slower by half: a processor's other half, or another guest of the same machine, was busy just then."""


def contenders(rungs: Iterable[Rung]) -> frozenset[Identity]:
    """Give those that are measured and that no other leaves far behind, whatever a pipeline prefers."""
    measured = [(rung, rung.figures) for rung in rungs if rung.figures is not None]
    return frozenset(
        rung.identity
        for rung, its in measured
        if not any(other.level <= rung.level and _leaves_behind(mine, its) for other, mine in measured)
    )


def _leaves_behind(mine: Figures, its: Figures) -> bool:
    """Whether figures are far better, and none of them may turn out to be the worse one."""
    times = [(mine.p50_ms, its.p50_ms), (mine.cpu_ms, its.cpu_ms)]
    is_faster = all(FAR * one <= other for one, other in times)
    is_equal = max(max(pair) for pair in times) <= LEAST_MS
    is_smaller = FAR * mine.peak_memory_mb <= its.peak_memory_mb
    fits = mine.peak_memory_mb <= reach("memory", its.peak_memory_mb)
    return (is_faster and not is_equal and fits) or (is_equal and is_smaller)
