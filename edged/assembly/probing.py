"""How each release of a model behaves on this box: what a candidate in probation is held against, and what becomes of it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edged.assembly.minutes import Felt, Minute, Stretch, counted, less, summed
from edged.assembly.notes import read_note, write_note
from edged.assembly.outages import Outages
from edged.domain.ports import Clock
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop
from edged.telemetry import logs
from edged.telemetry.metrics import PipelineMetrics, rounded
from edged.update.ports import Probation
from edged.update.probation import LEAST_RESULTS, SHARE, Conduct, Terms, Verdict, difference, judge, sure_share
from edged.update.records import Release

Ref = tuple[str, str]
"""A model's version, and the digest of the file that runs."""

_LOG = logging.getLogger("edged.probing")


@dataclass(slots=True)
class _Model:
    """What is known of one model. A file belongs to the release that is known to have it, else to that of its version."""

    stretches: dict[Ref, Stretch] = field(default_factory=dict)
    known: dict[str, frozenset[Ref]] = field(default_factory=dict)
    """The files of releases, by the releases' digests."""
    base: Conduct | None = None
    """What the candidate is held against."""
    ran: frozenset[str] = frozenset()
    """The pipelines that ran what was before the candidate."""
    begun_ns: int = 0
    is_watched: bool = False
    is_weighed: bool = True
    """Whether what the box weighs says something of this model: not once another went live during its probation."""
    compared: dict[str, Any] | None = None
    watched: dict[str, Any] | None = None
    """How far its probation is; None when it is in none."""

    def of(self, release: Release) -> dict[Ref, Stretch]:
        files = self.known.get(release.digest)
        others = frozenset[Ref]().union(*self.known.values())
        return {
            ref: stretch
            for ref, stretch in self.stretches.items()
            if (ref in files if files is not None else ref[0] == release.version and ref not in others)
        }


class Probing:
    """Looks once a second, and judges what is in probation. ``tick`` may be called by another thread than the rest.

    ``model_of`` gives the model that a pipeline is configured for, by the pipeline's name.
    """

    def __init__(
        self,
        lines: Callable[[], Sequence[Line]],
        state: Path,
        clock: Clock,
        felt: Callable[[], Felt],
        model_of: Callable[[str], str | None],
    ) -> None:
        self._lines, self._clock, self._felt, self._model_of = lines, clock, felt, model_of
        self._folder = state / "conduct"
        self._before: dict[str, tuple[PipelineMetrics, Minute, Ref]] = {}
        self._models: dict[str, _Model] = {}
        self._outages = Outages()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        known = ", ".join(
            f"{name} {ref[0]}" for name, model in list(self._models.items()) for ref in list(model.stretches)
        )
        return f"<Probing {known or 'nothing yet'}>"

    def tick(self) -> None:
        """Count what every pipeline did since the last look."""
        felt, now_ns, pipelines = self._felt(), self._clock.monotonic_ns(), self._pipelines()
        with self._lock:
            self._outages.look(pipelines, now_ns)
            for pipeline in pipelines:
                steps = pipeline.worker.steps
                if isinstance(steps, Loop):
                    ref = steps.model.ref
                    self._count(pipeline, ref.name, (ref.version, ref.digest), felt, now_ns)

    def begins(self, name: str, release: Release, before: Release | None, digests: Collection[str]) -> None:
        """Watch a release anew: called before pipelines swap to it, and at a start of edged during its probation.

        ``digests`` are its variants'. What it did when it ran earlier counts no more; how what ran before it behaved is written down, since
        a crash must not take the measure with it.
        """
        files = frozenset((release.version, digest) for digest in digests)
        with self._lock:
            model = self._models.setdefault(name, _Model())
            model.known[release.digest] = files
            base = model.of(before) if before is not None else {}
            model.stretches = {ref: one for ref, one in base.items() if ref not in files}
            kept = {release.digest} if before is None else {release.digest, before.digest}
            model.known = {digest: known for digest, known in model.known.items() if digest in kept}
            self._share_out(name, model)
        model.begun_ns = self._clock.monotonic_ns()
        self._measure(name, model, release, before)

    def over(self, name: str) -> None:
        """Note that a release is in probation no more."""
        model = self._models.setdefault(name, _Model())
        model.is_watched, model.watched = False, None

    def watch(self, probation: Probation) -> Verdict:
        """Judge a release in probation against what ran before it, as it was when it was last seen on this box."""
        name = probation.model
        model = self._models.setdefault(name, _Model())
        base, now = model.base, self._now(name, model, probation.release)
        model.compared = {"version": probation.release.version, "before": told(base), "now": told(now)}
        weighed = now if model.is_weighed else replace(now, memory_mb=None)
        terms = self._terms(probation)
        verdict = judge(base, weighed, terms, probation.running_s)
        model.watched = {
            "version": probation.release.version,
            "done_s": min(round(probation.running_s, 1), terms.probation_s),
            "of_s": terms.probation_s,
            "results": max(now.results, now.ever),
            "of_results": terms.min_results,
        }
        if verdict.what != "watch":
            self.over(name)
            self._keep(name, model.compared)
            version = probation.release.version
            logs.event(_LOG, "probation.over", model=name, version=version, verdict=verdict.what, reason=verdict.reason)
        return verdict

    def underway(self) -> list[dict[str, Any]]:
        """Give the probations that go on: how long and with how many results, of how many."""
        found = [(name, model.watched) for name, model in list(self._models.items())]
        return [{"model": name, "state": "probation", **watched} for name, watched in found if watched is not None]

    def told(self, name: str) -> dict[str, Any] | None:
        """Give how the last candidate did against the version before it, as ``out/models`` has it; None when there was none."""
        model = self._models.get(name)
        if model is not None and model.compared is not None:
            return model.compared
        kept = self._kept(name)
        return kept if "now" in kept else None

    def conduct(self, name: str, release: Release) -> Conduct:
        """Sum up how a release behaved in its last quarter of an hour."""
        with self._lock:
            model = self._models.get(name)
            stretches = list(model.of(release).values()) if model is not None else []
            minutes = [minute for one in stretches for minute in one.minutes]
            whole, half = summed(minutes), len(minutes) // 2
            first, second = summed(minutes[:half]), summed(minutes[half:])
            latest = max(stretches, key=lambda one: one.seen_ns, default=None)
            felt, ever = (latest.felt if latest else Felt()), sum(one.results for one in stretches)
        return Conduct(
            results=whole.results,
            failures=whole.failures,
            suspects=whole.suspects,
            crashes=whole.crashes,
            p95_ms=whole.quantile_ms(SHARE),
            p95_least_ms=whole.quantile_ms(sure_share(whole.results)),
            memory_mb=felt.memory_mb,
            is_overheated=felt.is_overheated,
            told=whole.told,
            unrest=difference(first.told, second.told),
            silent_s=felt.silent_s,
            ever=ever,
        )

    def _pipelines(self) -> list[Pipeline]:
        return [one for line in self._lines() for one in line.pipelines]

    def _runs(self, pipeline: Pipeline, name: str) -> bool:
        return self._model_of(pipeline.name) == name and isinstance(pipeline.worker.steps, Loop)

    def _count(self, pipeline: Pipeline, name: str, ref: Ref, felt: Felt, now_ns: int) -> None:
        """Count what a pipeline did since it was looked at last; nothing at the first look, and at that which finds another file."""
        metrics, total = pipeline.metrics, counted(pipeline.metrics)
        seen = self._before.get(pipeline.name)
        self._before[pipeline.name] = (metrics, total, ref)
        if seen is None or seen[0] is not metrics or seen[2] != ref:
            return
        stretches = self._models.setdefault(name, _Model()).stretches
        stretches.setdefault(ref, Stretch(now_ns)).add(less(total, seen[1]), felt, now_ns)

    def _share_out(self, name: str, model: _Model) -> None:
        """Blame nobody for memory where two are in probation: it is the whole process's."""
        others = [one for other, one in self._models.items() if other != name and one.is_watched]
        for one in others:
            one.is_weighed = False
        model.is_watched, model.is_weighed = True, not others

    def _now(self, name: str, model: _Model, release: Release) -> Conduct:
        now_ns = self._clock.monotonic_ns()
        longest_s = (now_ns - model.begun_ns) / 1e9
        down_s = self._outages.down_s(now_ns).items()
        own = {one: min(s, longest_s) for one, s in down_s if one in model.ran and self._model_of(one) == name}
        return replace(self.conduct(name, release), down_s=own)

    def _terms(self, probation: Probation) -> Terms:
        """Give what is asked of it, with the strictest objective of the model's pipelines."""
        own = [one for one in self._pipelines() if self._model_of(one.name) == probation.model]
        asked = [one.levers.objective_ms for one in own if one.levers is not None]
        latency_ms = min((one for one in asked if one is not None), default=None)
        order = probation.order
        return Terms(order.probation_s, order.min_inferences, latency_ms, is_used=bool(own))

    # -- what outlives a crash

    def _measure(self, name: str, model: _Model, release: Release, before: Release | None) -> None:
        """Find what the candidate is held against: what was seen last of the release before it, in this process or an earlier one."""
        pair = {"candidate": release.digest, "before": before.digest if before is not None else None}
        kept = self._kept(name)
        kept = kept if all(kept.get(key) == digest for key, digest in pair.items()) else {}
        seen = self.conduct(name, before) if before is not None and model.stretches else None
        written = _conduct(kept.get("conduct"))
        model.base = seen if seen is not None and seen.results >= LEAST_RESULTS else written or seen
        running = {one.name for one in self._pipelines() if self._runs(one, name)}
        model.ran = frozenset(running.union(kept.get("ran") or ()))
        base = asdict(model.base) if model.base is not None else None
        self._keep(name, {**pair, "ran": sorted(model.ran), "conduct": base})

    def _keep(self, name: str, content: Mapping[str, Any]) -> None:
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
        write_note(self._folder / f"{name}.json", json.dumps(content).encode())

    def _kept(self, name: str) -> dict[str, Any]:
        try:
            kept = json.loads(read_note(self._folder / f"{name}.json") or b"{}")
        except ValueError:
            return {}
        return kept if isinstance(kept, dict) else {}


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


def _conduct(written: Any) -> Conduct | None:
    try:
        return Conduct(**written)
    except TypeError:
        return None
