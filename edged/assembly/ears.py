"""An outbox that is listened to: what the box tells its broker, others hear, too. Stands there only where somebody listens."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edged.domain.message import Draft
from edged.domain.ports import Outbox

Ear = Callable[[Draft], None]
"""Called on the thread of whoever tells something; returns at once, and does not raise."""


class Ears:
    """Implements edged.domain.ports.Outbox on top of another. Thread-safe."""

    def __init__(self, outbox: Outbox) -> None:
        """Listen at ``outbox``; nobody hears anything yet."""
        self._outbox = outbox
        self._lock = threading.Lock()
        self._ears: tuple[Ear, ...] = ()
        self._levels: dict[str, Draft] = {}

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:
        """Hand a document on, and tell it to whoever listens, whether or not the outbox takes it."""
        taken = self._outbox.put(draft, wait_s=wait_s)
        with self._lock:
            ears = self._ears
            if draft.retain:
                self._levels[draft.stream] = draft
        for ear in ears:
            ear(draft)
        return taken

    def listen(self, ear: Ear) -> None:
        """Tell this one, too: first what stands, then what comes."""
        with self._lock:
            levels = list(self._levels.values())
            self._ears = (*self._ears, ear)
        for draft in levels:
            ear(draft)

    def forget(self, ear: Ear) -> None:
        """Tell this one nothing more."""
        with self._lock:
            self._ears = tuple(one for one in self._ears if one != ear)
