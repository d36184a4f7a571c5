"""How each version of a model behaves on this box, minute by minute: what a candidate in probation is held against."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edged.assembly.notes import read_note, write_note
from edged.domain.ports import Clock
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop
from edged.telemetry.metrics import EDGES_MS, Histogram, PipelineMetrics, rounded
from edged.update.ports import Probation
from edged.update.probation import Conduct, Terms, Verdict, difference, judge

MINUTES = 15
"""That are remembered: as long as a probation usually takes."""
MINUTE_NS = 60_000_000_000
FAULTS = ("engine-lost", "deadline")
"""Results' reasons that are the model's or its engine's; the others are the source's, or nobody's."""
CRASH = "engine-lost"
SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Felt:
    """The box at a moment: memory of edged and its children, whether it overheats, seconds since the broker was there."""

    memory_mb: float | None = None
    is_overheated: bool = False
    silent_s: float | None = None


@dataclass(slots=True)
class Minute:
    """What one version did in one minute, over all of its pipelines."""

    results: int = 0
    failures: int = 0
    crashes: int = 0
    took: list[int] = field(default_factory=lambda: [0] * (len(EDGES_MS) + 1))
    told: dict[str, int] = field(default_factory=dict)

    def add(self, other: Minute) -> None:
        """Count another's in."""
        self.results += other.results
        self.failures += other.failures
        self.crashes += other.crashes
        self.took = [one + more for one, more in zip(self.took, other.took, strict=True)]
        for key, count in other.told.items():
            self.told[key] = self.told.get(key, 0) + count


class Probing:
    """Looks once a second, and judges what is in probation. ``tick`` and ``watch`` may be called by different threads."""

    def __init__(
        self, lines: Callable[[], Sequence[Line]], state: Path, clock: Clock, felt: Callable[[], Felt]
    ) -> None:
        self._lines, self._clock, self._felt = lines, clock, felt
        self._folder = state / "conduct"
        self._before: dict[str, tuple[PipelineMetrics, Minute, str]] = {}
        self._minutes: dict[tuple[str, str], deque[Minute]] = {}
        self._begun_ns: dict[tuple[str, str], int] = {}
        self._feels: dict[tuple[str, str], Felt] = {}
        self._compared: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        known = ", ".join(f"{model} {version}" for model, version in self._minutes)
        return f"<Probing {known or 'nothing yet'}>"

    def tick(self) -> None:
        """Count what every pipeline did since the last look."""
        feels = self._felt()
        for pipeline in (one for line in self._lines() for one in line.pipelines):
            runs = _runs(pipeline)
            if runs is None:
                continue
            model, version = runs
            did = self._since(pipeline, version)
            if did is not None:
                self._latest((model, version)).add(did)
                self._feels[model, version] = feels

    def watch(self, probation: Probation) -> Verdict:
        """Judge a release in probation against what ran before it, as it was when it was last seen on this box."""
        model, version = probation.model, probation.release.version
        base = self._baseline(model, probation.before.version) if probation.before is not None else None
        terms = Terms(probation.order.probation_s, probation.order.min_inferences, self._objective_ms(model))
        now = self.conduct(model, version)
        self._compared[model] = {"version": version, "before": told(base), "now": told(now)}
        verdict = judge(base, now, terms, probation.running_s)
        if verdict.what != "watch":
            self._keep(model, self._compared[model])
        return verdict

    def told(self, model: str) -> dict[str, Any] | None:
        """Give how the last candidate did against the version before it, as ``out/models`` has it; None when there was none."""
        if model not in self._compared:
            kept = self._kept(model)
            if "now" not in kept:
                return None
            self._compared[model] = kept
        return self._compared[model]

    def conduct(self, model: str, version: str) -> Conduct:
        """Sum up how a version behaved in its last quarter of an hour."""
        minutes = list(self._minutes.get((model, version), ()))
        whole, feels = summed(minutes), self._feels.get((model, version), Felt())
        half = len(minutes) // 2
        first, second = summed(minutes[:half]), summed(minutes[half:])
        return Conduct(
            results=whole.results,
            failures=whole.failures,
            crashes=whole.crashes,
            p95_ms=_quantile(whole.took),
            memory_mb=feels.memory_mb,
            is_overheated=feels.is_overheated,
            told=whole.told,
            unrest=difference(first.told, second.told),
            silent_s=feels.silent_s,
        )

    def _since(self, pipeline: Pipeline, version: str) -> Minute | None:
        """Give what a pipeline did since it was looked at last; None at the first look, and at that which finds another version."""
        metrics, total = pipeline.metrics, _total(pipeline.metrics)
        known = self._before.get(pipeline.name)
        self._before[pipeline.name] = (metrics, total, version)
        if known is None or known[0] is not metrics or known[2] != version:
            return None
        return less(total, known[1])

    def _latest(self, key: tuple[str, str]) -> Minute:
        now_ns = self._clock.monotonic_ns()
        minutes = self._minutes.get(key)
        if minutes is None:
            self._keep_baseline(key[0])
            minutes = self._minutes[key] = deque(maxlen=MINUTES)
            self._begun_ns[key] = now_ns - MINUTE_NS
        if now_ns - self._begun_ns[key] >= MINUTE_NS:
            minutes.append(Minute())
            self._begun_ns[key] = now_ns
        return minutes[-1]

    def _keep_baseline(self, model: str) -> None:
        """Write down how the version before behaved: a crash of the candidate must not take the measure with it."""
        versions = [version for name, version in self._minutes if name == model]
        if versions:
            self._keep(model, {"version": versions[-1], "conduct": asdict(self.conduct(model, versions[-1]))})

    def _baseline(self, model: str, version: str) -> Conduct | None:
        if (model, version) in self._minutes:
            return self.conduct(model, version)
        kept = self._kept(model)
        try:
            return Conduct(**kept["conduct"]) if kept["version"] == version else None
        except (TypeError, KeyError):
            return None

    def _keep(self, model: str, content: Mapping[str, Any]) -> None:
        self._folder.mkdir(exist_ok=True)
        write_note(self._folder / f"{model}.json", json.dumps(content).encode())

    def _kept(self, model: str) -> dict[str, Any]:
        try:
            kept = json.loads(read_note(self._folder / f"{model}.json") or b"{}")
        except ValueError:
            return {}
        return kept if isinstance(kept, dict) else {}

    def _objective_ms(self, model: str) -> float | None:
        """Give the strictest objective of the model's pipelines; None when none has one."""
        runs = [one for line in self._lines() for one in line.pipelines if (_runs(one) or ("",))[0] == model]
        asked = [one.levers.objective_ms for one in runs if one.levers is not None]
        return min((one for one in asked if one is not None), default=None)


def told(conduct: Conduct | None) -> dict[str, Any] | None:
    """Give the figures of a conduct that people compare."""
    if conduct is None:
        return None
    share = conduct.failures / conduct.results if conduct.results else None
    return {
        "results": conduct.results,
        "p95_ms": rounded(conduct.p95_ms),
        "error_share": None if share is None else round(share, 5),
        "memory_mb": conduct.memory_mb,
    }


def _runs(pipeline: Pipeline) -> tuple[str, str] | None:
    steps = pipeline.worker.steps
    return (steps.model.ref.name, steps.model.ref.version) if isinstance(steps, Loop) else None


def _total(metrics: PipelineMetrics) -> Minute:
    """Copy a pipeline's counts; its thread counts on meanwhile, so each is taken once."""
    unknown = dict(metrics.unknown_by)
    failures = sum(unknown.get(reason, 0) for reason in FAULTS)
    return Minute(
        metrics.results, failures, unknown.get(CRASH, 0), list(metrics.stages["total"].counts), dict(metrics.told)
    )


def less(whole: Minute, before: Minute) -> Minute:
    """Give what came since: ``whole`` without ``before``."""
    told = {key: count - before.told.get(key, 0) for key, count in whole.told.items()}
    return Minute(
        whole.results - before.results,
        whole.failures - before.failures,
        whole.crashes - before.crashes,
        [now - then for now, then in zip(whole.took, before.took, strict=True)],
        {key: count for key, count in told.items() if count},
    )


def summed(minutes: Sequence[Minute]) -> Minute:
    """Add minutes up."""
    whole = Minute()
    for minute in minutes:
        whole.add(minute)
    return whole


def _quantile(took: list[int]) -> float | None:
    histogram = Histogram()
    histogram.counts, histogram.count = took, sum(took)
    return histogram.quantile(SHARE)
