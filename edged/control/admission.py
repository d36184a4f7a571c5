"""Which pipelines the memory has room for, summed up before anything is loaded. Pure.

The most important is admitted first. One that does not fit is refused alone: what is smaller and comes behind it may still run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FLOOR_MB = 16.0
"""A runtime's own structures, frames and results of one pipeline: an estimate, on the safe side for the smallest models."""
PER_FILE_MB = 3.0
"""Times the file: weights as they lie there, weights as the runtime packs them, and activations: an estimate, which figures
replace as soon as there are some."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pipeline needs at least, in MiB; ``is_measured``: on this kind of box, and not judged by the size of its files."""

    pipeline: str
    priority: int
    need_mb: float
    is_measured: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pipeline that does not fit, and the sum that shows it."""

    pipeline: str
    message: str


def need_mb(file_bytes: int) -> float:
    """Give what a model needs that nobody measured, from the size of its file."""
    return FLOOR_MB + PER_FILE_MB * file_bytes / 2**20


def admit(asks: Iterable[Ask], budget_mb: float | None) -> tuple[Refusal, ...]:
    """Give the pipelines that do not fit into ``budget_mb``; none without a budget."""
    if budget_mb is None:
        return ()
    admitted: list[Ask] = []
    refused: list[Refusal] = []
    for ask in sorted(asks, key=lambda ask: -ask.priority):
        if sum(one.need_mb for one in admitted) + ask.need_mb <= budget_mb:
            admitted.append(ask)
        else:
            refused.append(Refusal(ask.pipeline, _sum(ask, admitted, budget_mb)))
    return tuple(refused)


def _sum(ask: Ask, admitted: Sequence[Ask], budget_mb: float) -> str:
    basis = "measured" if ask.is_measured else "judged by its file"
    taken = sum(one.need_mb for one in admitted)
    others = f" + {taken:.0f} MiB of {', '.join(one.pipeline for one in admitted)}" if admitted else ""
    whole = taken + ask.need_mb
    summed = f"{ask.need_mb:.0f} MiB ({basis}){others} = {whole:.0f} MiB"
    return f"cannot run in the memory that is left: {summed}, expected at most {budget_mb:.0f} MiB"
