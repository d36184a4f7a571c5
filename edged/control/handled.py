"""Which commands were handled already: what makes each of them happen at most once, also across restarts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

REMEMBERED = 512
"""Commands that may be valid at the same time. With 512 others the oldest is forgotten: a bound on the file (40 KB) that
no fleet comes near."""

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Handled:
    """``expiries`` holds until when (Unix time in ms) each id is valid, oldest first.

    ``latest_ms`` is the latest moment that a synchronised clock has shown here: a box that boots in 1970 must not take
    what expired yesterday.
    """

    expiries: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    latest_ms: int = 0

    def __contains__(self, id_: str) -> bool:
        return id_ in self.expiries

    def now_ms(self, wall_ms: int) -> int:
        """Give the time that commands are judged by."""
        return max(wall_ms, self.latest_ms)

    def with_one(self, id_: str, expires_ms: int, wall_ms: int, *, synced: bool) -> Handled:
        """Give what is remembered once ``id_`` was handled, too.

        Only the synchronised clock makes ids forgotten: with any other, one could be valid again after a step back.
        """
        latest_ms = self.now_ms(wall_ms) if synced else self.latest_ms
        kept = {known: until for known, until in self.expiries.items() if until > latest_ms}
        kept[id_] = expires_ms
        for oldest in list(kept)[: max(0, len(kept) - REMEMBERED)]:
            del kept[oldest]
        return Handled(MappingProxyType(kept), latest_ms)

    def to_json(self) -> bytes:
        """Write it down."""
        return json.dumps({"latest_ms": self.latest_ms, "handled": dict(self.expiries)}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Handled:
        """Read what ``to_json`` wrote. Raises ValueError when it is something else."""
        document: Any = json.loads(content)
        try:
            expiries = {str(id_): int(until) for id_, until in document["handled"].items()}
            latest_ms = int(document["latest_ms"])
        except (AttributeError, KeyError, TypeError) as error:
            message = f"cannot read the handled commands: {error!r}, expected latest_ms and handled"
            raise ValueError(message) from error
        return cls(MappingProxyType(dict(list(expiries.items())[-REMEMBERED:])), latest_ms)
