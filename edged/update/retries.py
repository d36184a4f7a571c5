"""What of a retry is worth a line in the journal: a repository that is away for a month must not push out what ran when."""

from __future__ import annotations

from edged.domain.bundle import Bundle
from edged.update.change import Change
from edged.update.rollout import Event, State

_AGAIN = frozenset({Event.BEGUN, Event.NEEDED, Event.AT_HAND})
"""What a retry goes through before it finds whether anything is better than before."""
_ENDED = frozenset({State.FAILED, State.POSTPONED})

Line = tuple[Change, Bundle | None]


class Retries:
    """Holds back the lines of a retry until it comes further than the one before, or ends by another cause. Forgotten at a restart."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[str, str]] = {}
        self._held: dict[str, list[Line]] = {}

    def lines(self, change: Change, live: Bundle | None) -> list[Line]:
        """Give what is to be written now, the oldest first, before the change is made."""
        model, held = change.model, self._held.get(change.model)
        if change.event is Event.ORDERED and self._is_retry(change):
            self._held[model] = [(change, live)]
            return []
        if held is None:
            return [(change, live)]
        if change.event in _AGAIN:
            held.append((change, live))
            return []
        del self._held[model]
        return [] if self._failed.get(model) == _cause(change) else [*held, (change, live)]

    def written(self, change: Change) -> None:
        """Remember how a try ended."""
        cause = _cause(change)
        if cause is not None:
            self._failed[change.model] = cause
        elif change.model not in self._held:
            self._failed.pop(change.model, None)

    def _is_retry(self, change: Change) -> bool:
        order, failed = change.after.order, self._failed.get(change.model)
        return order is not None and failed is not None and failed[0] == order.document


def _cause(change: Change) -> tuple[str, str] | None:
    """Give by whose order and why a try ended that will be made again; None for every other change."""
    after = change.after
    if after.state not in _ENDED or after.wanted is None:
        return None
    return after.wanted.document, after.code
