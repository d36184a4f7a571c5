"""A document on its way to the fleet, before it has its number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Lane = Literal["event", "telemetry"]
"""``event`` carries events, results and levels; ``telemetry`` is the first to be thinned and evicted."""
Body = Mapping[str, Any]
"""JSON-ready: ``schema``, the document's own stamps (``boot_id``, ``captured_at`` or ``at``, ``mono_ms``, ``clock``) and what it says."""


class Late:
    """A body that is built once, by whoever reads it first: of a result that is the outbox's writer, beside the next inference."""

    __slots__ = ("_body", "_build")

    def __init__(self, build: Callable[[], Body]) -> None:
        """``build`` is called on any thread, and reads nothing that changes."""
        self._build = build
        self._body: Body | None = None

    @property
    def body(self) -> Body:
        """Give it. Two threads may build it at once, which does no harm."""
        if self._body is None:
            self._body = self._build()
        return self._body


@dataclass(frozen=True, slots=True)
class Draft:
    """A document without ``schema``'s envelope: the outbox's writer adds ``device`` and the stream's ``seq``.

    ``stream`` is the topic below ``out/``, such as ``event/gate``: it names the sequence too. ``content`` is its body, or what gives it
    later. ``priority``: lower goes first and is evicted last; 0 levels and events, 1 results, 2 telemetry.
    """

    stream: str
    content: Body | Late
    lane: Lane = "event"
    qos: int = 1
    retain: bool = False
    priority: int = 1

    @property
    def body(self) -> Body:
        """Give what it says, built now if nobody did before."""
        content = self.content
        return content.body if isinstance(content, Late) else content
