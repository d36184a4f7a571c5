"""The port Outbox in memory: what was put lies in ``drafts``; a full one drops and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edged.domain.message import Draft


@dataclass
class FakeOutbox:
    """``room`` is how many drafts it takes before it is full; ``waited`` holds the ``wait_s`` of every put."""

    room: int = 1_000_000
    drafts: list[Draft] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    waited: list[float] = field(default_factory=list)

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:
        self.waited.append(wait_s)
        if len(self.drafts) >= self.room:
            self.dropped[draft.lane] += 1
            return False
        self.drafts.append(draft)
        return True

    def bodies(self, stream: str) -> list[dict[str, object]]:
        return [dict(draft.body) for draft in self.drafts if draft.stream == stream]
