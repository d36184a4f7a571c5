"""Counts and latencies of a pipeline, cheap enough for every frame."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from edged.domain.result import Anomaly, Event, Latency, Output, Result

STAGES = ("age", "preprocess", "inference", "postprocess", "total")
"""``total`` is capture to result."""

BUCKETS_PER_DECADE = 20
"""A bucket is 12 % wide, so that a quantile read from it is off by 6 % at most."""
EDGES_MS = tuple(0.001 * 10 ** (step / BUCKETS_PER_DECADE) for step in range(8 * BUCKETS_PER_DECADE + 1))
"""1 µs to 100 s."""


class Histogram:
    """Times in milliseconds, in buckets of equal width on a logarithmic scale. One writer; readers may be slightly late."""

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES_MS) + 1)
        self.count = 0
        self.sum_ms = 0.0

    def add(self, value_ms: float) -> None:
        """Count one time."""
        self.counts[bisect_left(EDGES_MS, value_ms)] += 1
        self.count += 1
        self.sum_ms += value_ms

    def quantile(self, share: float) -> float | None:
        """Give the time in ms that ``share`` of all are at or below (within a bucket's width); None when there are none."""
        wanted = share * self.count
        below = 0
        for bucket, count in enumerate(self.counts):
            below += count
            if count and below >= wanted:
                return EDGES_MS[min(bucket, len(EDGES_MS) - 1)]
        return None


@dataclass(slots=True)
class PipelineMetrics:
    """What one pipeline did since it was set up. A sink like any other."""

    results: int = 0
    unknown: int = 0
    suspect: int = 0
    events: int = 0
    unknown_by: dict[str, int] = field(default_factory=dict)
    """By the results' reason."""
    told: dict[str, int] = field(default_factory=dict)
    """Answers by their gist."""
    captured_ns: int | None = None
    """When the latest frame that was answered was captured, on the monotonic clock."""
    stages: dict[str, Histogram] = field(default_factory=lambda: {stage: Histogram() for stage in STAGES})

    def result(self, result: Result) -> None:
        """Count one result and where its time went."""
        self.results += 1
        if result.output is None:
            self.unknown += 1
            self.unknown_by[result.reason] = self.unknown_by.get(result.reason, 0) + 1
            return
        if result.status == "suspect":
            self.suspect += 1
        key = gist(result.output)
        self.told[key] = self.told.get(key, 0) + 1
        self.captured_ns = result.stamp.mono_ns
        stages = self.stages
        latency = result.latency
        stages["age"].add(latency.age_ms)
        stages["preprocess"].add(latency.preprocess_ms)
        stages["inference"].add(latency.inference_ms)
        stages["postprocess"].add(latency.postprocess_ms)
        stages["total"].add(total_ms(latency))

    def event(self, _event: Event) -> None:
        """Count one event."""
        self.events += 1

    def latency_ms(self) -> dict[str, dict[str, float | None]]:
        """Give p50 and p99 of each stage, as the telemetry document carries them."""
        return {
            stage: {"p50": rounded(hist.quantile(0.5)), "p99": rounded(hist.quantile(0.99))}
            for stage, hist in self.stages.items()
        }


def gist(output: Output) -> str:
    """Give an answer in a word: the best label, ``anomaly`` or ``normal``, ``nothing``; of numbers and points only that there are some."""
    if isinstance(output, Anomaly):
        return "anomaly" if output.is_anomaly else "normal"
    if not output.items:
        return "nothing"
    return getattr(output.items[0], "label", "something")


def total_ms(latency: Latency) -> float:
    """Give the time from capture to result."""
    return latency.age_ms + latency.preprocess_ms + latency.inference_ms + latency.postprocess_ms


def rounded(value_ms: float | None) -> float | None:
    """Give microseconds' precision: more would be noise on the wire."""
    return None if value_ms is None else round(value_ms, 3)
