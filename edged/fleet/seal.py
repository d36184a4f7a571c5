"""A draft with its number, as it is kept and sent; or why it is no document of the contract."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edged.domain.message import Draft
from edged.domain.ports import Clock
from edged.fleet import topics
from edged.fleet.losses import Counts, Rejections
from edged.fleet.numbering import encoded
from edged.telemetry import logs

log = logging.getLogger(__name__)


class Seal:
    """Makes documents of one device. What cannot be made one is counted, logged and told in health, and costs its document alone."""

    def __init__(
        self, device: str, number: Callable[[str], int], rejections: Rejections, counts: Counts, clock: Clock
    ) -> None:
        """``number`` gives the last one of a stream, for documents that tell of others."""
        self._device, self._number = device, number
        self._rejections, self._counts, self._clock = rejections, counts, clock

    def __call__(self, draft: Draft, seq: int) -> bytes | None:
        """Give the payload; None when there is none."""
        try:
            payload = encoded(draft.body, self._device, seq, self._number)
        except Exception as error:  # noqa: BLE001 - a plugin's decoder may have put anything into what is told of here
            self._reject(draft, f"{type(error).__name__}: {error}")
            return None
        if len(payload) > topics.MAX_DOCUMENT_BYTES:
            self._reject(draft, f"{len(payload)} bytes, expected at most {topics.MAX_DOCUMENT_BYTES}")
            return None
        return payload

    def _reject(self, draft: Draft, why: str) -> None:
        self._counts.rejected += 1
        self._rejections.add(draft.stream, why, self._clock.monotonic_ns())
        logs.event(log, "document.rejected", level=logging.WARNING, stream=draft.stream, why=why)
