"""What a box has seen of its signers: high-water marks below which it takes nothing again, and a floor for the time.

The client of The Update Framework forgets both with two files that it never syncs; these here are its memory. Decisions only:
``edged.update.trust_file`` keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from edged.domain.errors import RejectedError, RetryableError
from edged.update.desired import Desired

EARLIEST_MS = 1_793_491_200_000
"""2026-11-01: nothing runs this code before it was written. To be raised at each release."""
FLOOR_STEP_MS = 3_600_000
"""The floor is written down once it has risen by an hour: flash wears."""
MAX_ORDERS = 64
"""Audiences whose last order is remembered: itself and its groups, also former ones."""
ROLLBACK = "rollback-attack"


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest version of a role's metadata, and which keys vouched for it.

    Versions of one set of keys never fall. With other keys, which a newer root or delegation names, they begin anew: so a fleet
    recovers from a thief who signed version 1,000,000.
    """

    version: int
    keys: str


@dataclass(frozen=True, slots=True)
class Followed:
    """The last order for an audience: its number, and the digest of what was signed."""

    seq: int
    digest: str


@dataclass(frozen=True, slots=True)
class Marks:
    """Everything that must not be forgotten. ``roles`` by name, ``orders`` by audience, oldest first; ``serial`` counts writes."""

    floor_ms: int = EARLIEST_MS
    roles: Mapping[str, Mark] = field(default_factory=lambda: MappingProxyType({}))
    orders: Mapping[str, Followed] = field(default_factory=lambda: MappingProxyType({}))
    serial: int = 0

    def time_ms(self, wall_ms: int) -> int:
        """Give the time that dates are judged by: the clock's, but never before what is known to be past."""
        return max(wall_ms, self.floor_ms)

    def after(self, wall_ms: int, *, synced: bool, signed_ms: int = 0) -> Marks:
        """Raise the floor: to a synchronised clock, or to a date that was signed when there is none.

        A clock that nobody set moves nothing: a wrong year would refuse everything, for good.
        """
        known_ms = wall_ms if synced else signed_ms
        return replace(self, floor_ms=known_ms) if known_ms >= self.floor_ms + FLOOR_STEP_MS else self

    def with_roles(self, seen: Mapping[str, Mark]) -> Marks:
        """Take in what a repository showed. Raises RetryableError, code ``rollback-attack``, when any of it is older than before."""
        for name, mark in seen.items():
            before = self.roles.get(name)
            if before is not None and before.keys == mark.keys and mark.version < before.version:
                message = f"cannot trust the repository: its {name} is version {mark.version}, expected {before.version} or newer"
                raise RetryableError(message, remedy="look who serves old metadata", code=ROLLBACK)
        return replace(self, roles=MappingProxyType({**self.roles, **seen}))

    def with_order(self, desired: Desired) -> Marks:
        """Take in an order. The same one again is no fault.

        Raises RejectedError, code ``replayed`` for an older one, ``seq-reused`` for another one of the same number.
        """
        audience = str(desired.audience)
        before = self.orders.get(audience, Followed(0, ""))
        if desired.seq < before.seq:
            message = f"cannot follow order {desired.seq} for {audience}: a later one came before, expected {before.seq} or more"
            raise RejectedError(message, code="replayed")
        if desired.seq == before.seq and desired.digest != before.digest:
            message = f"cannot follow order {desired.seq} for {audience}: another one had this number, expected {before.seq + 1} or more"
            raise RejectedError(message, remedy="give each order a higher seq", code="seq-reused")
        others = [(name, followed) for name, followed in self.orders.items() if name != audience]
        kept = [*others[-(MAX_ORDERS - 1) :], (audience, Followed(desired.seq, desired.digest))]
        return replace(self, orders=MappingProxyType(dict(kept)))

    def told(self) -> dict[str, Any]:
        """Write them as JSON can."""
        return {
            "serial": self.serial,
            "floor_ms": self.floor_ms,
            "roles": {name: {"version": mark.version, "keys": mark.keys} for name, mark in self.roles.items()},
            "orders": {name: {"seq": one.seq, "digest": one.digest} for name, one in self.orders.items()},
        }


def read_marks(document: Any) -> Marks:
    """Read what ``told`` wrote. Raises ValueError when it is something else."""
    try:
        return Marks(
            floor_ms=max(EARLIEST_MS, int(document["floor_ms"])),
            roles=MappingProxyType(
                {str(name): Mark(int(one["version"]), str(one["keys"])) for name, one in document["roles"].items()}
            ),
            orders=MappingProxyType(
                {str(name): Followed(int(one["seq"]), str(one["digest"])) for name, one in document["orders"].items()}
            ),
            serial=int(document["serial"]),
        )
    except (AttributeError, KeyError, TypeError) as error:
        message = f"cannot read the marks: {error!r}, expected serial, floor_ms, roles and orders"
        raise ValueError(message) from error
