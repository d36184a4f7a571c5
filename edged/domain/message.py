"""A document on its way to the fleet, before it has its number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Lane = Literal["event", "telemetry"]
"""``event`` carries events, results and levels; ``telemetry`` is the first to be thinned and evicted."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A document without ``schema``'s envelope: the outbox's writer adds ``device`` and the stream's ``seq``.

    ``stream`` is the topic below ``out/``, such as ``event/gate``: it names the sequence too. ``body`` is JSON-ready and
    carries ``schema`` and its own stamps (``boot_id``, ``captured_at`` or ``at``, ``mono_ms``, ``clock``). ``priority``: lower goes first
    and is evicted last; 0 levels and events, 1 results, 2 telemetry.
    """

    stream: str
    body: Mapping[str, Any]
    lane: Lane = "event"
    qos: int = 1
    retain: bool = False
    priority: int = 1
