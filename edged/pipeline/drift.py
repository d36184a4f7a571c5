"""Whether a pipeline still sees, and says, what is normal for it: features of its frames and answers against a reference.

Each feature is sampled no more often than its samples tell something of their own. When its window is full, it votes for drift if its
population stability index, or a mean that has been moving (Page and Hinkley), is above what the reference itself shows in a month. Two
votes in three windows raise the alarm, three windows without a vote end it. Steps without threads: time and figures in, findings out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from edged.domain.tensor import Array
from edged.pipeline.page_hinkley import PageHinkley
from edged.pipeline.reference import QUANTILES, Feature, Reference
from edged.pipeline.stability import population_stability
from edged.pipeline.traits import Traits

OF_WINDOWS, VOTES = 3, 2
"""So many votes among so many windows raise an alarm: a lorry before the lens for an hour is none."""
DIGITS = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """One window of one feature, in full: ``values`` are its samples, without what is usual at their hour."""

    feature: Feature
    values: tuple[float | str, ...]
    first_s: float
    last_s: float
    """Unix time of its first and last sample."""
    stability: float
    rise: float
    usual: float
    """What the reference has for the last sample's hour; 0 without such."""

    @property
    def votes(self) -> bool:
        """Whether it is more unlike the reference than chance."""
        limits = self.feature.limits
        return self.stability > limits.stability or self.rise > limits.rise


@dataclass(frozen=True, slots=True)
class Finding:
    """A feature began or ceased to drift; ``verdicts`` are the windows that say so, the last one last."""

    kind: Literal["drift", "drift-over"]
    verdicts: tuple[Verdict, ...]

    @property
    def name(self) -> str:
        """The feature's."""
        return self.verdicts[-1].feature.name


@dataclass(frozen=True, slots=True)
class Watched:
    """Where one feature stands: its window so far, its latest verdicts, and whether it drifts."""

    values: tuple[float | str, ...] = ()
    first_s: float = 0.0
    sums: PageHinkley = field(default_factory=PageHinkley)
    votes: tuple[bool, ...] = ()
    drifts: bool = False


class Monitor:
    """Watches all features of a reference. Owned by one thread; ``drifting`` may be read from any."""

    def __init__(self, reference: Reference, state: Mapping[str, Any] | None = None) -> None:
        """Go on from a state that ``state`` gave, or begin; what of it does not fit this reference is left."""
        self.reference = reference
        self.drifting: tuple[str, ...] = ()
        self._watched = {feature.name: _restored(feature, state or {}) for feature in reference.features}
        self._due_s: dict[str, float] = {}
        self._last_s = float("-inf")
        self._verdicts: dict[str, tuple[Verdict, ...]] = {}
        self._tell()

    def __repr__(self) -> str:
        drifting = ", ".join(self.drifting) or "nothing drifts"
        return f"<Monitor of {len(self._watched)} features: {drifting}>"

    def step(self, source_s: float, wall_s: float, traits: Traits, *, is_dated: bool = True) -> list[Finding]:
        """Take the figures of one frame.

        Args:
            source_s: the source's own time, which windows run on; where it jumps back, sampling begins anew.
            wall_s: Unix time, for the hour of the day.
            traits: the figures.
            is_dated: whether ``wall_s`` is right; features that know hours wait otherwise.
        """
        if source_s < self._last_s:
            self._due_s.clear()
        self._last_s = source_s
        findings = []
        for feature in self.reference.features:
            value = traits.get(feature.name)
            # A source that reads late by a hair must not lose a sample to it.
            if value is None or source_s < self._due_s.get(feature.name, source_s) - 1e-6:
                continue
            if isinstance(value, str) != bool(feature.labels) or (len(feature.profile) and not is_dated):
                continue
            self._due_s[feature.name] = source_s + feature.interval_s
            found = self._take(feature, value, wall_s)
            if found is not None:
                findings.append(found)
        return findings

    def state(self) -> dict[str, Any]:
        """Give what has to be known to go on after a restart, JSON-ready."""
        return {name: _told(watched) for name, watched in self._watched.items()}

    def _take(self, feature: Feature, value: float | str, wall_s: float) -> Finding | None:
        usual = feature.usual(wall_s)
        left = value if isinstance(value, str) else value - usual
        watched = self._watched[feature.name]
        first_s = watched.first_s if watched.values else wall_s
        watched = replace(watched, values=(*watched.values, left), first_s=first_s)
        finding = None
        if len(watched.values) >= feature.window:
            verdict, sums = judge(feature, watched, wall_s, usual)
            kept = self._verdicts[feature.name] = (*self._verdicts.get(feature.name, ()), verdict)[-OF_WINDOWS:]
            votes = (*watched.votes, verdict.votes)[-OF_WINDOWS:]
            drifts = sum(votes) >= VOTES or (watched.drifts and any(votes))
            if drifts != watched.drifts:
                finding = Finding("drift" if drifts else "drift-over", kept)
            watched = Watched((), 0.0, sums, votes, drifts)
        self._watched[feature.name] = watched
        if finding is not None:
            self._tell()
        return finding

    def _tell(self) -> None:
        self.drifting = tuple(name for name, watched in self._watched.items() if watched.drifts)


def judge(feature: Feature, watched: Watched, last_s: float, usual: float = 0.0) -> tuple[Verdict, PageHinkley]:
    """Hold a full window against the reference; with the sums that go on from there."""
    counts = np.bincount([feature.bin_of(value) for value in watched.values], minlength=feature.bins)
    stability = float(population_stability(counts, feature.shares))
    sums, rise = watched.sums, 0.0
    if not feature.labels:
        deviation = (float(np.mean(np.array(watched.values, np.float64))) - feature.mean) / feature.scale
        sums = sums.step(deviation)
        rise = sums.rise(deviation)
    return Verdict(feature, watched.values, watched.first_s, last_s, stability, rise, usual), sums


def evidence(finding: Finding) -> dict[str, Any]:
    """Give what an alarm rests on, JSON-ready: statistics against their limits, and both distributions."""
    last = finding.verdicts[-1]
    feature = last.feature
    return {
        "feature": feature.name,
        "stability": round(last.stability, DIGITS),
        "stability_limit": round(feature.limits.stability, DIGITS),
        "rise": round(last.rise, DIGITS),
        "rise_limit": round(feature.limits.rise, DIGITS),
        "samples": len(last.values),
        "sample_every_s": round(feature.interval_s, 3),
        "windows": [
            {"votes": one.votes, "stability": round(one.stability, DIGITS), "rise": round(one.rise, DIGITS)}
            for one in finding.verdicts
        ],
        **_distributions(last),
    }


def _distributions(verdict: Verdict) -> dict[str, Any]:
    feature = verdict.feature
    if feature.labels:
        names = (*feature.labels, "other")
        counts = np.bincount([feature.bin_of(value) for value in verdict.values], minlength=feature.bins)
        return {
            "reference": _rounded(names, feature.shares),
            "present": _rounded(names, counts / max(len(verdict.values), 1)),
        }
    names = tuple(f"q{round(100 * share):02d}" for share in QUANTILES)
    present = np.quantile(np.array(verdict.values, np.float64), QUANTILES)
    # Both as the feature is measured: what is usual at this hour was taken off the samples.
    return {
        "reference": _rounded(names, feature.quantiles + verdict.usual),
        "present": _rounded(names, present + verdict.usual),
    }


def _rounded(names: Sequence[str], values: Array) -> dict[str, float]:
    return {name: float(f"{value:.{DIGITS}g}") for name, value in zip(names, values, strict=False)}


def _told(watched: Watched) -> dict[str, Any]:
    return {
        "values": list(watched.values),
        "first_s": watched.first_s,
        "up": watched.sums.up,
        "down": watched.sums.down,
        "votes": list(watched.votes),
        "drifts": watched.drifts,
    }


def _restored(feature: Feature, state: Mapping[str, Any]) -> Watched:
    try:
        told = state[feature.name]
        values = tuple(str(value) if feature.labels else float(value) for value in told["values"])
        sums = PageHinkley(float(told["up"]), float(told["down"]))
        votes = tuple(bool(vote) for vote in told["votes"])[-OF_WINDOWS:]
        watched = Watched(values, float(told["first_s"]), sums, votes, bool(told["drifts"]))
    except (KeyError, TypeError, ValueError):
        return Watched()
    is_sound = len(values) < feature.window and np.isfinite((sums.up, sums.down, watched.first_s)).all()
    has_numbers = bool(feature.labels) or bool(np.isfinite(np.array(values, np.float64)).all())
    return watched if is_sound and has_numbers else Watched()
