"""How much a pipeline saw: each look at its counters gives the time since the last one to "seen" or to a cause.

A second is seen when as many frames were judged as are asked for: the objective's ``fps``, or one. What is missing goes to the causes for
which frames were not judged, in proportion. A source that gives less than is asked for, and all of it judged, is seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from edged.telemetry.coverage import CAUSES, MINUTE_MS, Cause, Minute, rounded_ms

USUAL_FPS = 1.0
"""Asked of a pipeline without an objective: it looks once a second."""
SHORTEST_PATIENCE_S, LONGEST_PATIENCE_S = 2.0, 60.0
"""How long a source that is there may say nothing until that counts as blind: a slow sensor gives a window in many seconds."""
GAPS = 2.5
"""So many of its usual gaps a source may be silent."""
GAPS_KEPT = 15
"""The usual one is the middle of so many between frames: pictures that freeze now and then are late then, and not slow."""
MOST_OF_A_LOOK = 5
"""Gaps that one look counts at most, so that a burst after a freeze tells of both."""
JUMP_MS = 2000
"""The wall clock was set when it is off by more; less is slewed, and the minutes follow it."""
NS_PER_MS = 1_000_000

Shares = Mapping[str, float]
"""``seen`` and causes; they sum to 1."""

DROPPED: Mapping[str, Cause | None] = {
    "still": "gate",
    "paused": "paused",
    "no-model": "engine",
    "closed": None,
    "rate": None,
    "damaged": "source",
}
"""A mailbox's causes. What came after the end, or above the rate that the source is configured for, was not due; any other is thinned."""
COVERED = "covered"
"""The state of a source that gives pictures on which nothing can be seen: dark all over, or always the same."""
FRAMES_OWN = frozenset({"frame-invalid", "samples-invalid"})
"""Codes of results that are unknown since the source gave what cannot be judged."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a pipeline is at one moment: the state of its worker and its source, and what it has counted since it was set up.

    ``judged`` are results that may be believed, ``blind`` frames that were due and gave none.
    """

    worker: str
    source: str
    judged: int
    blind: Mapping[Cause, int] = field(default_factory=dict)


def blind_of(unknown: Mapping[str, int], drops: Mapping[str, int], suspect: int = 0) -> dict[Cause, int]:
    """Count frames that were not judged: unknown results by code, drops by cause, and results of an engine that is known to lie."""
    found: dict[Cause, int] = {"engine": suspect} if suspect else {}
    told: list[tuple[Cause | None, int]] = [(_unknown(code), count) for code, count in unknown.items()]
    told += [(DROPPED.get(cause, "thinned"), count) for cause, count in drops.items()]
    for cause, count in told:
        if cause is not None:
            found[cause] = found.get(cause, 0) + count
    return found


def _unknown(code: str) -> Cause:
    if code == "calibrating":
        return "calibrating"
    return "source" if code in FRAMES_OWN else "engine"


class Account:
    """One pipeline's minutes. Owned by one thread."""

    def __init__(self, look: Look, mono_ns: int, wall_ns: int, before: Minute, wanted_fps: float | None = None) -> None:
        """Begin now. ``before`` is what is known already of the minute that goes on."""
        self._look, self._mono_ns, self._at_ms = look, mono_ns, wall_ns // NS_PER_MS
        self._wanted_fps = wanted_fps or USUAL_FPS
        self._parts: dict[str, float] = {}
        self._last = before
        self._begin(before)
        self._shares: Shares = {"source": 1.0}
        self._quiet_s = 0.0
        self._gaps_s: deque[float] = deque(maxlen=GAPS_KEPT)

    @property
    def now(self) -> Minute:
        """The minute that goes on, as far as it is known."""
        seen, *blind = rounded_ms([self._parts.get(name, 0.0) for name in ("seen", *CAUSES)])
        return Minute(self._number, seen, tuple(blind))

    def take(self, look: Look, mono_ns: int, wall_ns: int) -> list[Minute]:
        """Give the time since the last look to what ``look`` tells; gives the minutes that ended by now."""
        elapsed_ms = (mono_ns - self._mono_ns) / NS_PER_MS
        shares = self._judge(look, elapsed_ms / 1000)
        self._look, self._mono_ns = look, mono_ns
        wall_ms = wall_ns // NS_PER_MS
        if abs(wall_ms - self._at_ms - elapsed_ms) > JUMP_MS:
            # What was seen is kept as far as its minute goes; nobody knows what the minutes between saw.
            ended = self._spend(shares, self._at_ms + round(elapsed_ms))
            return [*ended, *self._jump(wall_ms)]
        return self._spend(shares, wall_ms)

    def _begin(self, known: Minute) -> None:
        self._number = known.number
        self._parts = dict(zip(("seen", *CAUSES), (known.seen_ms, *known.blind_ms), strict=True))

    def _spend(self, shares: Shares, until_ms: int) -> list[Minute]:
        ended = []
        while self._at_ms < until_ms:
            end_ms = min(until_ms, (self._number + 1) * MINUTE_MS)
            self._add(shares, end_ms - self._at_ms)
            self._at_ms = end_ms
            if end_ms == (self._number + 1) * MINUTE_MS:
                self._last = self.now
                ended.append(self._last)
                self._begin(Minute.unknown(self._number + 1))
        return ended

    def _add(self, shares: Shares, time_ms: float) -> None:
        # A clock that was set back lets a minute pass twice: it has 60 s all the same.
        time_ms = min(time_ms, MINUTE_MS - sum(self._parts.values()))
        for name, share in shares.items():
            self._parts[name] = self._parts.get(name, 0.0) + share * max(0.0, time_ms)

    def _jump(self, wall_ms: int) -> list[Minute]:
        left, self._at_ms = self.now, wall_ms
        number = wall_ms // MINUTE_MS
        if number == left.number:
            return []
        self._begin(self._last if number == self._last.number else Minute.unknown(number))
        return [left]

    def _judge(self, look: Look, elapsed_s: float) -> Shares:
        judged, blind = added(self._look, look)
        if judged or blind:
            if look.source == self._look.source == "live":
                self._learn(judged + sum(blind.values()), elapsed_s)
            self._quiet_s = 0.0
        else:
            self._quiet_s += elapsed_s
        stands = _stands_still(look, has_frames=bool(judged or blind))
        if stands is not None:
            self._quiet_s = 0.0
            return {stands: 1.0}
        if judged or blind:
            self._shares = _shared(judged, blind, self._wanted_fps * elapsed_s)
        elif self._quiet_s > self._patience_s:
            self._shares = {"source": 1.0}
        return self._shares

    def _learn(self, frames: int, elapsed_s: float) -> None:
        """Take in the gaps before the frames of one look: the first one's goes back to the look before the silence."""
        later = [elapsed_s / frames] * min(frames - 1, MOST_OF_A_LOOK - 1)
        self._gaps_s.extend([self._quiet_s + (elapsed_s if self._quiet_s else elapsed_s / frames), *later])

    @property
    def _patience_s(self) -> float:
        usual_s = median(self._gaps_s) if self._gaps_s else 0.0
        return min(LONGEST_PATIENCE_S, max(SHORTEST_PATIENCE_S, GAPS * usual_s))


def added(before: Look, now: Look) -> tuple[int, dict[Cause, int]]:
    """Count what came between two looks; a pipeline that was set up anew counts from zero."""
    is_anew = now.judged < before.judged or any(now.blind.get(cause, 0) < old for cause, old in before.blind.items())
    old = Look("", "", 0) if is_anew else before
    blind = {cause: count - old.blind.get(cause, 0) for cause, count in now.blind.items()}
    return now.judged - old.judged, {cause: count for cause, count in blind.items() if count}


def _stands_still(look: Look, *, has_frames: bool) -> Cause | None:
    """Give what alone explains that nothing is seen, if something does."""
    if look.worker == "paused":
        return "paused"
    if look.source == COVERED:
        return "source"
    if has_frames:
        return None
    if look.worker in {"failed", "starting"}:
        return "engine"
    return None if look.source == "live" and look.worker == "running" else "source"


def _shared(judged: int, blind: Mapping[Cause, int], wanted: float) -> dict[str, float]:
    if not blind:
        return {"seen": 1.0}
    seen = min(1.0, judged / wanted) if wanted > 0 else float(judged > 0)
    missed = sum(blind.values())
    return {"seen": seen} | {cause: (1 - seen) * count / missed for cause, count in blind.items()}
