"""How a pipeline goes down its model's ladder and up again: fewer threads, a lighter variant, another accelerator. Pure.

Only what was measured is known to be lighter, so that a step down never costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edged.control.steps import Kind
from edged.domain.variant import Rung

LIGHTER = 0.9
"""Of the processor time of the rung before: less of a difference would be felt by nobody."""
HEAVIER_MB = 1.1
"""So much more memory, as a factor, a variant may take that costs less time."""


@dataclass(frozen=True, slots=True)
class Less:
    """How many steps are taken of each kind that changes how the model runs."""

    threads: int = 0
    variant: int = 0
    device: int = 0

    def __bool__(self) -> bool:
        return bool(self.threads or self.variant or self.device)


NOTHING_LESS = Less()


def reach(rungs: Sequence[Rung]) -> Mapping[Kind, int]:
    """Say how many steps there are. ``rungs`` are the ladder's that may run, the chosen one first."""
    if not rungs:
        return {}
    return {
        "threads": len(_fewer_threads(rungs)),
        "variant": len(_lighter(rungs)),
        "device": len(_elsewhere(rungs)),
    }


def descend(rungs: Sequence[Rung], less: Less) -> tuple[Rung, ...]:
    """Give the rungs in the order in which they shall be tried: the one that ``less`` asks for, then the ladder as it is.

    Steps that the ladder does not have are not taken.
    """
    if not rungs:
        return ()
    wanted = rungs[0]
    for steps, found in (
        (less.threads, _fewer_threads(rungs)),
        (less.variant, _lighter(rungs)),
        (less.device, _elsewhere(rungs)),
    ):
        if steps and found:
            wanted = found[min(steps, len(found)) - 1]
    return (wanted, *(rung for rung in rungs if rung.identity != wanted.identity))


def _fewer_threads(rungs: Sequence[Rung]) -> list[Rung]:
    first = rungs[0]
    fewer = [rung for rung in rungs if rung.identity[:2] == first.identity[:2] and rung.threads < first.threads]
    return sorted(fewer, key=lambda rung: -rung.threads)


def _lighter(rungs: Sequence[Rung]) -> list[Rung]:
    """Give one rung a variant, each lighter than the one before, on the accelerator that runs the model now."""
    before = rungs[0]
    here = [rung for rung in rungs if rung.accelerator == before.accelerator and rung.standing != "dominated"]
    found: list[Rung] = []
    passed = {before.variant.id}
    for rung in sorted(here, key=lambda rung: -rung.figures.cpu_ms if rung.figures else 0.0):
        if rung.variant.id not in passed and _is_lighter(rung, before):
            found.append(rung)
            passed.add(rung.variant.id)
            before = rung
    return found


def _is_lighter(rung: Rung, before: Rung) -> bool:
    mine, its = rung.figures, before.figures
    if mine is None or its is None:
        return False
    return mine.cpu_ms <= LIGHTER * its.cpu_ms and mine.peak_memory_mb <= HEAVIER_MB * its.peak_memory_mb


def _elsewhere(rungs: Sequence[Rung]) -> list[Rung]:
    """Give the best rung of each other accelerator."""
    found: dict[str, Rung] = {}
    for rung in rungs:
        found.setdefault(rung.accelerator, rung)
    return [rung for accelerator, rung in found.items() if accelerator != rungs[0].accelerator]
