"""The choice among a model's variants, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edged.domain.bundle import Variant
from edged.domain.figures import Figures

Verdict = Literal["chosen", "possible", "refused"]
Standing = Literal["meets", "misses", "unmeasured", "dominated", "refused"]
"""Towards the objective: ``dominated`` means that another rung is at least as good in every figure."""
DROPPED: frozenset[Standing] = frozenset({"dominated", "refused"})
"""Standings that keep a rung off the ladder."""

Identity = tuple[str, str, int]
"""What tells a rung from others: variant id, accelerator, threads."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to run a model on this box: a variant on an accelerator with a number of threads."""

    variant: Variant
    accelerator: str
    threads: int
    verdict: Verdict
    reason: str
    standing: Standing = "unmeasured"
    figures: Figures | None = None
    """What was measured of it on this kind of box, if anything."""
    level: int = 0
    """Of accuracy among the model's variants: 0 is the best, and within a level nobody sees a difference."""
    share: float = 0.0
    """The part of the objective's time that it takes: 1 just meets it, more misses it, 0 where nothing is asked."""
    remote: str = ""
    """The configuration's section of the server that runs it; empty for what runs here."""

    @property
    def identity(self) -> Identity:
        """What tells it from the other rungs."""
        return self.variant.id, self.accelerator, self.threads


@dataclass(frozen=True, slots=True)
class Ladder:
    """Every variant of a model, best first, refused ones last."""

    model: str
    version: str
    profile: str
    rungs: tuple[Rung, ...]
    unmet: str = ""
    """Why the objective is not met by the rung that runs; empty when it is, or when nothing is measured."""
    held: str = ""
    """Why better rungs are left alone for now, after they failed; empty when none is."""

    @property
    def runnable(self) -> tuple[Rung, ...]:
        """The rungs that may run, the chosen one first."""
        return tuple(rung for rung in self.rungs if rung.verdict != "refused")

    @property
    def told(self) -> tuple[Rung, ...]:
        """The rungs that are worth telling: of a file that stays, the numbers of threads that do not are left out."""
        stays = {rung.identity[:2] for rung in self.rungs if rung.standing not in DROPPED}
        told: list[Rung] = []
        for rung in self.rungs:
            if rung.standing not in DROPPED or rung.identity[:2] not in stays:
                told.append(rung)
                stays.add(rung.identity[:2])
        return tuple(told)
