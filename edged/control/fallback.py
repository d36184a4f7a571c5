"""Which rungs of a ladder may be tried now, after what failed and when: pure, the clock is passed in.

A rung whose engine hung, crashed or did not open is left alone for a while, and the next one serves. The while doubles with each failure
and is short again once the rung has run well for some time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edged.domain.variant import Ladder, Rung

FIRST_S = 2.0
"""A USB accelerator that was reset comes back after about so long."""
LONGEST_S = 300.0
"""Each try costs a process and, with a stick, a firmware; what is repaired is back within five minutes."""
STABLE_S = 60.0
"""Run well for so long, the next failure is a first one again."""
ENOUGH_S = 1.0
"""Run for so long, an engine that ended was worth beginning."""

Way = tuple[str, str]
"""A file's SHA-256 and the accelerator that it runs on."""


@dataclass(frozen=True, slots=True)
class Life:
    """When an engine was begun, and since when it has run; monotonic."""

    began_ns: int = 0
    runs_ns: int = 0

    def is_enough(self, now_ns: int) -> bool:
        """Whether to begin it anew at once, now that it ended: it ran for longer than it takes to begin, and for a second.

        Even one that ends so again and again sees for more than half of the time; a wait would only show less.
        """
        return now_ns - self.runs_ns >= max(ENOUGH_S * 1e9, self.runs_ns - self.began_ns)


@dataclass(frozen=True, slots=True)
class Trouble:
    """How often a way failed in a row, why it did last, and until when it is left alone."""

    failures: int
    why: str
    until_ns: int
    opened_ns: int | None = None
    """When it was opened again."""


class Fallback:
    """What failed, by file and accelerator. Values in, values out; the caller locks."""

    def __init__(self) -> None:
        self._troubles: dict[Way, Trouble] = {}
        self._asked: dict[Way, tuple[int, int]] = {}
        """How often each was said to be due since it failed, and when it was last."""

    def __repr__(self) -> str:
        return f"<Fallback {', '.join(f'{way[0][:8]} on {way[1]}: {one.why}' for way, one in self._troubles.items())}>"

    def failed(self, way: Way, why: str, now_ns: int) -> int:
        """Leave it alone from now on, twice as long as the last time unless it ran well since; gives its failures in a row."""
        before = self._troubles.get(way)
        failures = 1 if before is None or _is_stable(before, now_ns) else before.failures + 1
        self._troubles[way] = Trouble(failures, why, now_ns + int(wait_s(failures) * 1e9))
        self._asked.pop(way, None)
        return failures

    def opened(self, way: Way, now_ns: int) -> None:
        """Take it as running from now on."""
        before = self._troubles.get(way)
        if before is not None and before.opened_ns is None:
            self._troubles[way] = replace(before, opened_ns=now_ns)

    def held(self, now_ns: int) -> Mapping[Way, str]:
        """Give what must not be tried now, each with why and for how long."""
        return {
            way: f"{one.why}; tried again in {max(1, round((one.until_ns - now_ns) / 1e9))} s"
            for way, one in self._troubles.items()
            if one.opened_ns is None and now_ns < one.until_ns
        }

    def is_due(self, now_ns: int) -> bool:
        """Whether something may be tried again. It is said again after as long as a further failure would take, until it was tried.

        Who is asked to try may not be able to: a pipeline has no loop while its stand-in is loaded.
        """
        due = [
            way for way, one in self._troubles.items() if one.opened_ns is None and now_ns >= self._next_ns(way, one)
        ]
        for way in due:
            self._asked[way] = self._asked.get(way, (0, 0))[0] + 1, now_ns
        return bool(due)

    def _next_ns(self, way: Way, trouble: Trouble) -> int:
        if way not in self._asked:
            return trouble.until_ns
        times, last_ns = self._asked[way]
        return last_ns + int(wait_s(trouble.failures + times) * 1e9)


def wait_s(failures: int) -> float:
    """Give how long to leave alone what failed so many times in a row."""
    return float(min(LONGEST_S, FIRST_S * 2 ** min(failures - 1, 16)))


def way_of(rung: Rung) -> Way:
    """Name a rung's file and accelerator; the number of threads changes nothing about a crash."""
    return rung.variant.sha256, rung.accelerator


def without_held(ladder: Ladder, held: Mapping[Way, str]) -> Ladder:
    """Refuse what is held back, and choose the best of the rest; the ladder as it is when nothing would be left."""
    kept = [rung for rung in ladder.runnable if way_of(rung) not in held]
    if not kept or len(kept) == len(ladder.runnable):
        return ladder
    kept[0] = replace(kept[0], verdict="chosen")
    left = [
        replace(rung, verdict="refused", standing="refused", reason=f"held back: {held[way_of(rung)]}")
        for rung in ladder.runnable
        if way_of(rung) in held
    ]
    refused = [rung for rung in ladder.rungs if rung.verdict == "refused"]
    better = ladder.rungs[: ladder.rungs.index(next(rung for rung in ladder.runnable if way_of(rung) not in held))]
    words = {f"{rung.variant.id} on {rung.accelerator}: {held[way_of(rung)]}": None for rung in better}
    return replace(ladder, rungs=(*kept, *left, *refused), held="; ".join(words))


def _is_stable(before: Trouble, now_ns: int) -> bool:
    return before.opened_ns is not None and now_ns - before.opened_ns >= STABLE_S * 1e9
