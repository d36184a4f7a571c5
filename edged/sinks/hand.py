"""The frame that a pipeline has in hand, for sinks that show or keep it."""

from __future__ import annotations

from typing import Protocol

from edged.domain.frame import Frame


class Hand(Protocol):
    """What holds on to the frame in hand; ``edged.pipeline.inlet.Inlet`` is one."""

    keep: bool
    in_hand: Frame | None
