"""Watches what running pipelines feel of a measurement: their frames' times while something is measured, and while nothing is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edged.control.pace import Evidence, share
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop

WATCHED = ("inference", "total")
"""The stages that are watched: frames that wait for each other feel nothing in their total, and a camera's reader shows there only."""

Key = tuple[str, str, str]
"""Pipeline, variant that runs, stage: what another variant took says nothing."""


class Witness:
    """Counts frames between two looks. Owned by one thread."""

    def __init__(self, lines: Callable[[], Sequence[Line]]) -> None:
        self._lines = lines
        self._before: dict[Key, tuple[int, ...]] = {}
        self._evidence: dict[Key, Evidence] = {}

    def look(self, *, busy: bool) -> None:
        """Count the frames since the last look to the times when something was measured, or to the others."""
        before, evidence = self._before, self._evidence
        self._before, self._evidence = {}, {}
        for key, now in self._counts():
            added = [count - old for count, old in zip(now, before.get(key, now), strict=True)]
            self._before[key] = now
            self._evidence[key] = evidence.get(key, Evidence()).with_frames(
                # A pipeline that was built anew counts from zero.
                [] if min(added) < 0 else added,
                busy=busy,
            )

    def share(self) -> float:
        """Give the share of the time that may be spent measuring."""
        return share({"/".join(key): evidence for key, evidence in self._evidence.items()})

    def is_calm(self) -> bool:
        """Whether no pipeline is being built."""
        return all(one.worker.state != "starting" for one in self._pipelines())

    def _pipelines(self) -> Iterator[Pipeline]:
        for line in self._lines():
            yield from line.pipelines

    def _counts(self) -> Iterator[tuple[Key, tuple[int, ...]]]:
        for one in self._pipelines():
            steps = one.worker.steps
            if one.worker.state != "running" or not isinstance(steps, Loop):
                continue
            for stage in WATCHED:
                yield (one.name, steps.model.ref.variant, stage), tuple(one.metrics.stages[stage].counts)
