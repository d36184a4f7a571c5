"""Which pipelines are down, and since when: a model that does not come up gives no result that could tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edged.pipeline.line import Pipeline

STEADY_NS = 60_000_000_000
"""What fails at each frame runs for a moment after each start: it is up again when it gave a result, or ran for so long."""


@dataclass(slots=True)
class _Outage:
    since_ns: int
    answered: int
    restarts: int
    up_ns: int | None = None


class Outages:
    """Owned by one caller at a time."""

    def __init__(self) -> None:
        """Everything is up."""
        self._outages: dict[str, _Outage] = {}

    def look(self, pipelines: Iterable[Pipeline], now_ns: int) -> None:
        """Note who is down. One that was paused, or whose source ended, is not."""
        self._outages = {
            one.name: outage
            for one in pipelines
            if (outage := _still(self._outages.get(one.name), one, now_ns)) is not None
        }

    def down_s(self, now_ns: int) -> Mapping[str, float]:
        """Give for how long each has been down."""
        return {name: (now_ns - outage.since_ns) / 1e9 for name, outage in list(self._outages.items())}


def _still(outage: _Outage | None, pipeline: Pipeline, now_ns: int) -> _Outage | None:
    """Give the outage that goes on, or has just begun; None when it is up."""
    worker, answered = pipeline.worker, pipeline.metrics.results - pipeline.metrics.unknown
    is_down = worker.state == "failed"
    is_over = worker.state in {"paused", "ended", "stopped"}
    if outage is None or is_over or answered != outage.answered:
        return _Outage(now_ns, answered, worker.restarts) if is_down else None
    if is_down or worker.restarts != outage.restarts:
        outage.up_ns, outage.restarts = None, worker.restarts
        return outage
    outage.up_ns = now_ns if outage.up_ns is None else outage.up_ns
    return None if now_ns - outage.up_ns >= STEADY_NS else outage
