"""Keeps account of what every pipeline sees: looks once a second, keeps each minute, and tells telemetry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edged.assembly.coverage_store import CoverageStore
from edged.domain.ports import Clock
from edged.fleet.topics import rfc3339
from edged.pipeline.coverage import COVERED, Account, Look, blind_of
from edged.pipeline.line import Line, Pipeline
from edged.telemetry.coverage import MINUTES_A_DAY, Minute, Seconds, total

EVERY_NS = 1_000_000_000
MAX_TOLD = 60
"""Minutes in one telemetry document; what is older is on the disk."""
NS_PER_MINUTE = 60_000_000_000


class Covering:
    """Called by the thread of supervision alone. ``wanted_fps`` gives what is asked of each pipeline by its objective."""

    def __init__(
        self,
        store: CoverageStore,
        lines: Callable[[], Sequence[Line]],
        wanted_fps: Callable[[], Mapping[str, float | None]],
        clock: Clock,
    ) -> None:
        self._store, self._lines, self._wanted_fps, self._clock = store, lines, wanted_fps, clock
        self._accounts: dict[str, Account] = {}
        self._untold: dict[str, list[Minute]] = {}
        self._days: dict[str, Seconds] = {}
        self._due_ns = 0

    def __repr__(self) -> str:
        return f"<Covering {', '.join(f'{name}: {one.now}' for name, one in self._accounts.items()) or 'nothing'}>"

    def tick(self) -> bool:
        """Look, when a second is over; whether it was."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns:
            return False
        self._due_ns = now_ns + EVERY_NS
        looks = dict(self._looks())
        for gone in self._accounts.keys() - looks.keys():
            self._store.write(gone, self._accounts.pop(gone).now)
            self._days.pop(gone, None)
        for name, look in looks.items():
            self._take(name, look, now_ns)
        return True

    def told(self) -> dict[str, Any]:
        """Give the minutes that ended since this was asked last, and the day's sum; keeps the one that goes on."""
        untold, self._untold = self._untold, {}
        for name, account in self._accounts.items():
            self._store.write(name, account.now)
        return {
            name: {
                "minutes": [_told(minute) for minute in untold.get(name, [])[-MAX_TOLD:]],
                "day": self._days[name].told(),
            }
            for name in self._accounts
        }

    def _take(self, name: str, look: Look, now_ns: int) -> None:
        wall_ns = self._clock.wall_ns()
        account = self._accounts.get(name)
        if account is None:
            (before,) = self._store.read(name, wall_ns // NS_PER_MINUTE, 1)
            self._accounts[name] = Account(look, now_ns, wall_ns, before, self._wanted_fps().get(name))
            self._sum_up(name, wall_ns)
            return
        ended = account.take(look, now_ns, wall_ns)
        for minute in ended:
            self._store.write(name, minute)
        if ended:
            self._untold[name] = [*self._untold.get(name, []), *ended][-MAX_TOLD:]
            self._sum_up(name, wall_ns)

    def _sum_up(self, name: str, wall_ns: int) -> None:
        """Sum the day's minutes that have ended. Once a minute: reading a whole day takes milliseconds."""
        now = wall_ns // NS_PER_MINUTE
        self._days[name] = total(self._store.read(name, now - now % MINUTES_A_DAY, now % MINUTES_A_DAY))

    def _looks(self) -> Iterator[tuple[str, Look]]:
        for line in self._lines():
            for pipeline in line.pipelines:
                yield pipeline.name, look_at(line, pipeline)


def look_at(line: Line, pipeline: Pipeline) -> Look:
    """Read a pipeline's states and counters."""
    metrics = pipeline.metrics
    blind = blind_of(dict(metrics.unknown_by), pipeline.mailbox.drops, metrics.suspect)
    source = COVERED if line.feed.trouble is not None else line.feed.state.condition
    return Look(pipeline.worker.state, source, metrics.results - metrics.unknown - metrics.suspect, blind)


def _told(minute: Minute) -> dict[str, Any]:
    return {"at": rfc3339(minute.number * NS_PER_MINUTE), **total([minute]).told()}
