"""How long a call of an engine may take before it counts as hung: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """What a deadline is made of, in seconds but for ``factor``."""

    factor: float = 10.0
    """Of p99. An Edge TPU that is too hot runs at an eighth of its clock (500 to 62.5 MHz), and still works."""
    floor_s: float = 1.0
    """A busy box keeps a process from its processor for some hundred milliseconds; more would spend the two seconds in which the next
    rung has to see again."""
    limit_s: float = 30.0
    """A p99 from a bad moment must not let a hang last."""
    opening_s: float = 60.0
    """From the start to the first answer: libedgetpu tries for 25 s to open a device, and loading from a cold SD card takes as long."""
    joining_s: float = 10.0
    """Of a further model in a child that serves already: its device is open, and the others' frames wait for their turn meanwhile."""


def deadline_s(p99_s: float, patience: Patience) -> float:
    """Give the deadline of a call."""
    return min(patience.limit_s, max(patience.floor_s, patience.factor * p99_s))


def slowest_s(took_s: Sequence[float]) -> float:
    """Give what stands for p99 when only a warm-up is known: its slowest call."""
    return max(took_s, default=0.0)
