"""Which pipelines the memory has room for, summed up before anything is loaded. Pure.

The most important is admitted first. One that does not fit is refused alone: what is smaller and comes behind it may still run. Pipelines
that run the same share its engines: as many as can compute at once are loaded, and whoever comes after them brings frames and results only.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

FLOOR_MB = 16.0
"""A runtime's own structures, frames and results of one pipeline: an estimate, on the safe side for the smallest models."""
PER_FILE_MB = 3.0
"""Times the file: weights as they lie there, weights as the runtime packs them, and activations: an estimate, which figures
replace as soon as there are some."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pipeline needs at least, in MiB; ``is_measured``: on this kind of box, and not judged by the size of its files.

    Those with the same ``engine`` have ``copies`` of it together; None is nobody else's.
    """

    pipeline: str
    priority: int
    need_mb: float
    is_measured: bool = False
    engine: Hashable = None
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pipeline that does not fit, and the sum that shows it."""

    pipeline: str
    message: str


def need_mb(file_bytes: int) -> float:
    """Give what a model needs that nobody measured, from the size of its file."""
    return FLOOR_MB + PER_FILE_MB * file_bytes / 2**20


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may run, with the MiB that each adds, and who may not."""

    held_mb: Mapping[str, float]
    refused: tuple[Refusal, ...]


def admit(asks: Iterable[Ask], budget_mb: float | None) -> Admission:
    """Judge who fits into ``budget_mb``: everybody without a budget."""
    held_mb: dict[str, float] = {}
    admitted: list[Ask] = []
    refused: list[Refusal] = []
    for ask in sorted(asks, key=lambda ask: -ask.priority):
        adds_mb = _added_mb(ask, admitted)
        if budget_mb is None or sum(held_mb.values()) + adds_mb <= budget_mb:
            admitted.append(ask)
            held_mb[ask.pipeline] = adds_mb
        else:
            refused.append(Refusal(ask.pipeline, _sum(ask, adds_mb, held_mb, budget_mb)))
    return Admission(held_mb, tuple(refused))


def _added_mb(ask: Ask, admitted: Sequence[Ask]) -> float:
    """Give what a pipeline takes beside those that were admitted."""
    beside = sum(ask.engine is not None and one.engine == ask.engine for one in admitted)
    return ask.need_mb if beside < ask.copies else min(FLOOR_MB, ask.need_mb)


def _sum(ask: Ask, adds_mb: float, held_mb: Mapping[str, float], budget_mb: float) -> str:
    basis = "measured" if ask.is_measured else "judged by its file"
    taken = sum(held_mb.values())
    others = f" + {taken:.0f} MiB of {', '.join(held_mb)}" if held_mb else ""
    whole = taken + adds_mb
    summed = f"{adds_mb:.0f} MiB ({basis}){others} = {whole:.0f} MiB"
    return f"cannot run in the memory that is left: {summed}, expected at most {budget_mb:.0f} MiB"
