"""What a pipeline can do less of, one kind of step a row, from what costs the least sight to what costs all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CALM, NEAR, PRESSED, HARD, CRITICAL = range(5)
"""How much a box suffers."""
WORDS = ("calm", "near", "pressed", "hard", "critical")
"""What the levels are called, for people."""

Kind = Literal["gate", "rate", "threads", "variant", "device", "pause"]


@dataclass(frozen=True, slots=True)
class StepKind:
    """One kind of step; ``from_level`` is the pressure that it takes at least."""

    name: Kind
    text: str
    from_level: int = PRESSED
    frees_memory: bool = False
    hastens: bool = False
    """Whether results come sooner for it."""


STEPS: tuple[StepKind, ...] = (
    StepKind("gate", "the motion gate becomes stricter: still pictures get no inference", hastens=True),
    StepKind("rate", "the frame rate is halved, down to the pipeline's floor", hastens=True),
    StepKind("threads", "the same variant runs with fewer threads"),
    StepKind("variant", "the next lighter variant of the model runs", frees_memory=True, hastens=True),
    StepKind("device", "another accelerator runs the model", frees_memory=True, hastens=True),
    StepKind("pause", "the pipeline rests; never the most important one", from_level=HARD, frees_memory=True),
)
"""Taken in this order, and given back in the other."""

KINDS: tuple[Kind, ...] = tuple(step.name for step in STEPS)
ALL: frozenset[Kind] = frozenset(KINDS)
FREEING: frozenset[Kind] = frozenset(step.name for step in STEPS if step.frees_memory)
"""What gives memory back."""
HASTENING: frozenset[Kind] = frozenset(step.name for step in STEPS if step.hastens)
"""What makes a late pipeline faster; a result that comes late beats none, so nobody is paused for it."""
FROM_LEVEL: dict[Kind, int] = {step.name: step.from_level for step in STEPS}
