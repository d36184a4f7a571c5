"""What a simulation found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgectl.fleet.rollout import Outcome
from edgectl.fleet.simulate.crowd import Traffic
from edgectl.fleet.simulate.script import ENDS, Role, Terms

HERD_S = 0.1


@dataclass(frozen=True, slots=True)
class Look:
    """How many boxes had come how far, and how many were online, so many seconds after the first order."""

    at_s: float
    counts: Mapping[str, int]
    online: int


@dataclass(slots=True)
class Result:
    """What a simulation found. ``converged_s`` is when every box had come to its end and was online; None: not in time."""

    terms: Terms
    converged_s: float | None = None
    looks: list[Look] = field(default_factory=list)
    roles: dict[str, Role] = field(default_factory=dict)
    ends: dict[str, Outcome] = field(default_factory=dict)
    sent: Traffic = field(default_factory=Traffic)
    received: Traffic = field(default_factory=Traffic)
    back_s: list[float] = field(default_factory=list)
    """After the broker was there again: when each connection was made."""
    restarted_s: float | None = None
    gone_s: float = 0.0
    """How long the broker was not there."""
    acknowledged: int = 0
    """Transitions that boxes told and the broker took."""
    lost: int = 0
    """Of them, those that never came to who listens to all."""
    memory_kb: float = 0.0
    """Resident memory a box, in this process, its connection included."""

    @property
    def astray(self) -> dict[str, Outcome]:
        """Boxes that did not end as their role has it."""
        return {name: end for name, end in self.ends.items() if end is not ENDS[self.roles[name]]}

    @property
    def herd(self) -> int:
        """The most connections in any tenth of a second after the restart."""
        return max(Counter(int(at_s / HERD_S) for at_s in self.back_s).values(), default=0)
