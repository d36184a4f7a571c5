"""How long documents have waited, by what they say of themselves: their rows carry no time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from edged.domain.ports import Clock
from edged.fleet.ready import Row

_NS_PER_S, _MS_PER_S = 1_000_000_000, 1000


def oldest_age_s(rows: Iterable[Row], boot_id: str, clock: Clock) -> float | None:
    """Give how many seconds ago the oldest document was captured or written; None when none says so, or no clock can tell."""
    ages = [age for row in rows if (age := _age_s(row.payload, boot_id, clock)) is not None]
    return round(max(ages), 3) if ages else None


def _age_s(payload: bytes, boot_id: str, clock: Clock) -> float | None:
    try:
        body = json.loads(payload)
        if body["boot_id"] == boot_id:
            return max(0.0, clock.monotonic_ns() / _NS_PER_S - float(body["mono_ms"]) / _MS_PER_S)
        # Of another boot only the labels tell, and only where both clocks were right.
        if body["clock"] != "synced" or not clock.synced():
            return None
        written = datetime.fromisoformat((body.get("captured_at") or body["at"]).replace("Z", "+00:00"))
        return max(0.0, clock.wall_ns() / _NS_PER_S - written.timestamp())
    except (ValueError, KeyError, TypeError):
        return None
