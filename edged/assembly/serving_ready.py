"""Whether the box is ready: every pipeline's model is loaded, and its source live; and what meets no objective. Values in, reasons out."""

from __future__ import annotations

from collections.abc import Iterator

from edged.assembly.amiss import UNMET
from edged.assembly.roster import Roster
from edged.domain.health import Reason
from edged.pipeline.line import Line

WORKS = frozenset({"running", "paused", "ended"})


def unready(roster: Roster, now_ns: int) -> tuple[Reason, ...]:
    """Give why it is not; what does not run at all is told by its own reason."""
    if not roster.is_told:
        return (Reason("starting", "edged", "it starts", now_ns),)
    told = {(reason.code, reason.component): reason for reason in roster.reasons if reason.fatal}
    for line in roster.lines():
        told.update({(reason.code, reason.component): reason for reason in _waits(line, now_ns)})
    return tuple(told.values())


def unmet(roster: Roster) -> tuple[Reason, ...]:
    """Give the pipelines that run with less than their objective asks for."""
    return tuple(reason for reason in roster.reasons if reason.code == UNMET)


def _waits(line: Line, now_ns: int) -> Iterator[Reason]:
    if line.ended:
        return
    for pipeline in line.pipelines:
        worker = pipeline.worker
        if worker.state not in WORKS:
            message = f"its model is not loaded: {worker.state}"
            yield worker.reason or Reason("model-loading", pipeline.name, message, now_ns)
    if line.feed.state.condition != "live":
        message = f"its source is {line.feed.state.condition}, expected a live one"
        yield Reason("source-not-live", line.feed.name, message, line.feed.state.since_ns)
