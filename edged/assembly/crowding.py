"""How pipelines get on that share an interpreter of several threads: one computes at a time, and all on one processor."""

from __future__ import annotations

from collections.abc import Callable

from edged.domain.ports import Engine
from edged.hardware.gathered import gather, scatter
from edged.pipeline.turns import Turn, Turns, both


def turn_at(engine: Engine | None, turn: Callable[[], Turn], priority: int) -> Turn:
    """Give what the calling thread holds while it computes: its turn on the processors, and at the interpreter if others share that.

    The thread goes where the others are, so that the interpreter's own threads have the other processors, and leaves when it has it alone.
    """
    crowd = getattr(engine, "crowd", _nobody)()
    if crowd is None:
        scatter()
        return turn()
    gather()
    # In this order: who waits for a processor behind others shall not keep the interpreter from who is more important.
    return both(turn(), crowd.turn(priority))


def _nobody() -> Turns | None:
    return None
