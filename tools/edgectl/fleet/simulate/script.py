"""What each simulated box does with its order, drawn from a seed: the same seed gives the same fleet."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import Enum

from edgectl.fleet.rollout import Outcome

MOST_DEVICES = 20_000


class Role(str, Enum):
    """What a box does."""

    WELL = "well"
    FAILS_TRIAL = "fails-trial"
    ROLLS_BACK = "rolls-back"
    """It passes its trial, and is slow in service: its probation condemns it."""
    GOES_OFFLINE = "goes-offline"
    """Its connection breaks as the order comes, and it comes back later."""
    ANSWERS_LATE = "answers-late"


ENDS = {
    Role.WELL: Outcome.SUCCEEDED,
    Role.FAILS_TRIAL: Outcome.FAILED,
    Role.ROLLS_BACK: Outcome.ROLLED_BACK,
    Role.GOES_OFFLINE: Outcome.SUCCEEDED,
    Role.ANSWERS_LATE: Outcome.SUCCEEDED,
}
"""How an order must end on such a box."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the fleet, 0 to 1, of each role; the others do well."""

    fails_trial: float = 0.02
    rolls_back: float = 0.02
    goes_offline: float = 0.05
    answers_late: float = 0.05

    def __post_init__(self) -> None:
        """Refuse shares of more than there is. Raises ValueError."""
        given = astuple(self)
        if min(given) < 0 or sum(given) > 1:
            message = f"cannot share a fleet out as {given}, expected shares of 0 or more that sum to at most 1"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Terms:
    """A simulation. ``late_s`` passes before a late box takes its order up, ``away_s`` until one that went offline is back."""

    devices: int
    shares: Shares = Shares()
    seed: int = 0
    probation_s: int = 2
    late_s: float = 1.5
    away_s: float = 3.0
    is_clustered: bool = False
    """Through three nodes of NATS; else through mosquitto."""
    restarts_broker: bool = True
    """In the middle of the rollout: every box comes back by itself. Of a cluster, one node is killed."""
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuse an empty fleet, and more than one machine has ports for. Raises ValueError."""
        if not 1 <= self.devices <= MOST_DEVICES:
            message = f"cannot simulate {self.devices} boxes, expected 1 to {MOST_DEVICES}"
            raise ValueError(message)


def cast(names: Sequence[str], terms: Terms) -> dict[str, Role]:
    """Give each box its role; a share above 0 gives at least one box, as long as there are some."""
    wanted = zip(list(Role)[1:], astuple(terms.shares), strict=True)
    roles = [role for role, share in wanted for _ in range(max(round(share * len(names)), 1 if share else 0))]
    roles = (roles + [Role.WELL] * len(names))[: len(names)]
    random.Random(terms.seed).shuffle(roles)  # noqa: S311 - no secret
    return dict(zip(names, roles, strict=True))
