"""Documents that a broker's packet limit keeps out for good, and how that is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edged.fleet.ready import Row
from edged.fleet.refusal import PACKET_LIMIT, RAISE_LIMIT
from edged.fleet.trouble import Trouble

TOLD_S = 600.0
"""How long the last of them stays a reason in health: one large document a month is no lasting fault."""
PACKET_OVERHEAD = 16
"""Fixed header, topic length, packet id and an empty property list of a PUBLISH, rounded up."""


def packet_bytes(topic: str, payload: bytes) -> int:
    """Give the size of the packet that carries a document."""
    return len(payload) + len(topic) + PACKET_OVERHEAD


@dataclass(frozen=True, slots=True)
class _Refused:
    """How many, when the last one, and the smallest of them. ``limit`` is what the broker takes, None where it does not say."""

    count: int
    last_s: float
    least: Row
    least_bytes: int
    limit: int | None


class Oversize:
    """Written by the link's thread, read by any."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._refused: _Refused | None = None

    def add(self, row: Row, size: int, limit: int | None, now_s: float) -> None:
        """Count a document that was refused; its packet has ``size`` bytes."""
        before = self._recent(now_s)
        least, least_bytes = row, size
        if before is not None and before.least_bytes < size:
            least, least_bytes = before.least, before.least_bytes
        self._refused = _Refused(before.count + 1 if before else 1, now_s, least, least_bytes, limit)

    def passed(self, rows: Iterable[Row]) -> None:
        """Forget it all when one passes that is as large as the smallest that was refused: somebody raised the limit."""
        refused = self._refused
        if refused is not None and any(len(row.payload) >= len(refused.least.payload) for row in rows):
            self._refused = None

    def troubles(self, known: Trouble | None, now_s: float) -> list[Trouble]:
        """Give what is known to be wrong, and what was refused within the last minutes; of two with one code, the one with the sizes."""
        refused = self._recent(now_s)
        if refused is None:
            return [known] if known else []
        told = self._told(refused)
        return [known, told] if known and known.code != told.code else [told]

    def _told(self, refused: _Refused) -> Trouble:
        seen = "it answers 0x95 (Packet too large)"
        if refused.limit is not None:
            seen = f"it takes packets of {refused.limit} bytes at most"
        many = "document" if refused.count == 1 else "documents"
        message = (
            f"cannot publish at {self._where}: {seen}, expected {refused.least_bytes} and more: {refused.count} {many} "
            f"lost lately, of which the smallest, of {refused.least.stream}, needs as much"
        )
        return Trouble(PACKET_LIMIT, "mqtt", message, RAISE_LIMIT)

    def _recent(self, now_s: float) -> _Refused | None:
        refused = self._refused
        return refused if refused is not None and now_s - refused.last_s < TOLD_S else None
