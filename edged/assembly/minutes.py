"""What a model did, minute by minute: counts that are added up, and compared."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from edged.pipeline.coverage import FRAMES_OWN
from edged.telemetry.metrics import EDGES_MS, Histogram, PipelineMetrics

MINUTES = 15
"""That are remembered: as long as a probation usually takes."""
MINUTE_NS = 60_000_000_000
EXCUSED = FRAMES_OWN | {"calibrating", "source-lost"}
"""Reasons of unknown results that are no model's: the source's own, and a box that still learns what is normal."""
CRASH = "engine-lost"
WEIGHED = 120
"""Looks, of one a second, whose least memory counts: a trial's child, or an old model that is not freed yet, weighs for a while only."""


@dataclass(frozen=True, slots=True)
class Felt:
    """The box at a moment: memory of edged and its children, whether it overheats, seconds since the broker was there."""

    memory_mb: float | None = None
    is_overheated: bool = False
    silent_s: float | None = None


@dataclass(slots=True)
class Minute:
    """What was done in one minute, over all pipelines. ``results`` are answers and ``failures``; what is excused is none."""

    results: int = 0
    failures: int = 0
    suspects: int = 0
    crashes: int = 0
    took: list[int] = field(default_factory=lambda: [0] * (len(EDGES_MS) + 1))
    told: dict[str, int] = field(default_factory=dict)

    def add(self, other: Minute) -> None:
        """Count another's in."""
        self.results += other.results
        self.failures += other.failures
        self.suspects += other.suspects
        self.crashes += other.crashes
        self.took = [one + more for one, more in zip(self.took, other.took, strict=True)]
        for key, count in other.told.items():
            self.told[key] = self.told.get(key, 0) + count

    def quantile_ms(self, share: float) -> float | None:
        """Give the time from capture to result that ``share`` of the answers took at most; None without any."""
        histogram = Histogram()
        histogram.counts, histogram.count = self.took, sum(self.took)
        return histogram.quantile(share)


class Stretch:
    """The last quarter of an hour of one file of a model, and how the box felt meanwhile."""

    def __init__(self, now_ns: int) -> None:
        """Begin now."""
        self.minutes: deque[Minute] = deque([Minute()], maxlen=MINUTES)
        self.results = 0
        """Since it began."""
        self.seen_ns = now_ns
        self._felt = Felt()
        self._weights_mb: deque[float] = deque(maxlen=WEIGHED)
        self._begun_ns = now_ns

    def add(self, did: Minute, felt: Felt, now_ns: int) -> None:
        """Count in what was done since the last look."""
        if now_ns - self._begun_ns >= MINUTE_NS:
            self.minutes.append(Minute())
            self._begun_ns = now_ns
        self.minutes[-1].add(did)
        self.results += did.results
        self.seen_ns, self._felt = now_ns, felt
        if felt.memory_mb is not None:
            self._weights_mb.append(felt.memory_mb)

    @property
    def felt(self) -> Felt:
        """How the box feels with it."""
        return replace(self._felt, memory_mb=min(self._weights_mb, default=None))


def counted(metrics: PipelineMetrics) -> Minute:
    """Copy a pipeline's counts; its thread counts on meanwhile, so each is taken once."""
    unknown, told = dict(metrics.unknown_by), dict(metrics.told)
    failures = sum(count for reason, count in unknown.items() if reason not in EXCUSED)
    took = list(metrics.stages["total"].counts)
    return Minute(sum(told.values()) + failures, failures, metrics.suspect, unknown.get(CRASH, 0), took, told)


def less(whole: Minute, before: Minute) -> Minute:
    """Give what came since: ``whole`` without ``before``."""
    told = {key: count - before.told.get(key, 0) for key, count in whole.told.items()}
    return Minute(
        whole.results - before.results,
        whole.failures - before.failures,
        whole.suspects - before.suspects,
        whole.crashes - before.crashes,
        [now - then for now, then in zip(whole.took, before.took, strict=True)],
        {key: count for key, count in told.items() if count},
    )


def summed(minutes: Iterable[Minute]) -> Minute:
    """Add minutes up."""
    whole = Minute()
    for minute in minutes:
        whole.add(minute)
    return whole
