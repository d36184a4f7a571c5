"""The choice among a model's variants, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edged.domain.bundle import Variant

Verdict = Literal["chosen", "possible", "refused"]


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to run a model on this box: a variant on an accelerator with a number of threads."""

    variant: Variant
    accelerator: str
    threads: int
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """Every variant of a model, best first, refused ones last."""

    model: str
    version: str
    profile: str
    rungs: tuple[Rung, ...]

    @property
    def runnable(self) -> tuple[Rung, ...]:
        """The rungs that may run, the chosen one first."""
        return tuple(rung for rung in self.rungs if rung.verdict != "refused")
