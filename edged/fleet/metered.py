"""The outbox behind the day's budget: what is held back takes no number, so that it leaves no gap."""

from __future__ import annotations

import json
import threading

from edged.domain.message import Draft
from edged.domain.ports import Outbox
from edged.fleet.budget import NEVER_THINNED, RESULTS, Budget

OVERHEAD_BYTES = 130
"""What the document still gets (device, seq), its topic, and the headers of MQTT, TCP and IP; rounded up."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


class MeteredOutbox:
    """Implements edged.domain.ports.Outbox on top of another. Thread-safe."""

    def __init__(self, outbox: Outbox, budget: Budget) -> None:
        self._outbox, self._budget = outbox, budget
        self._lock = threading.Lock()

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:
        """Hand a document on if the budget has room for it; False when it has not, or the outbox has not."""
        size = _size(draft) + OVERHEAD_BYTES
        # An event's picture has the event's priority, since it shares its stream; it is no event, and thinned as results are.
        priority = draft.priority if draft.lane == "event" else max(draft.priority, RESULTS)
        with self._lock:
            if not self._budget.admit(draft.stream, size, priority):
                return False
        return self._outbox.put(draft, wait_s=wait_s)

    def spend(self, stream: str, size: int) -> None:
        """Count what goes out beside the documents: it is never held back, and results make room for it."""
        with self._lock:
            self._budget.admit(stream, size + OVERHEAD_BYTES, NEVER_THINNED)


def _size(draft: Draft) -> int:
    try:
        return len(_encode(draft.body))
    except Exception:  # noqa: BLE001 - a plugin's decoder may have put anything into what is told of here; the outbox says what
        return 0
