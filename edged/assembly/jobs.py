"""What there is to measure of the bundles that run here, and what becomes of the outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.assembly.box import Box, ladder, runtime_versions, size_bytes
from edged.assembly.candidate import Order
from edged.assembly.engines import measures_itself
from edged.assembly.figures_store import FiguresStore, brought
from edged.control.benchmark import Candidate, Feel, Refused, Unfit, sessions, thread_counts, to_measure, to_repeat
from edged.control.contend import contenders
from edged.control.figures import HERE
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured, Subject
from edged.domain.ports import Clock
from edged.domain.variant import Rung
from edged.fleet.topics import rfc3339
from edged.hardware.readings import read
from edged.telemetry import logs

_LOG = logging.getLogger("edged.measuring")


@dataclass(frozen=True, slots=True)
class Job:
    """A candidate and the bundle that it is opened from."""

    candidate: Candidate
    bundle: Bundle

    def order(self, *, polite: bool) -> Order:
        """Give what its child is told."""
        one = self.candidate
        return Order(str(self.bundle.folder), one.variant, one.subject.accelerator, one.threads, polite=polite)


def jobs(bundles: Iterable[Bundle], box: Box, store: FiguresStore) -> list[Job]:
    """List what has no figures yet, the most urgent of each bundle first; then, in turns, what has to be measured again."""
    known = store.known()
    first: list[Job] = []
    again: list[Job] = []
    for bundle in bundles:
        found = candidates(bundle, box)
        came = () if box.profile.is_broad else brought(bundle)
        missing = to_measure(found, (*came, *known.measured), known.refused)
        first += [Job(candidate, bundle) for candidate in missing]
        again += [
            Job(candidate, bundle) for candidate in to_repeat(_close(found, bundle, box), sessions(known.measured))
        ]
    # What cannot be measured now is put off, and must not keep the others from being measured again.
    return [*first, *again]


def candidates(bundle: Bundle, box: Box) -> list[Candidate]:
    """List every way in which this box can run the bundle, the ladder's best first."""
    versions = runtime_versions(box)
    usual: dict[tuple[str, str], tuple[int, Rung]] = {}
    for place, rung in enumerate(ladder(bundle, box).runnable):
        usual.setdefault((rung.variant.id, rung.accelerator), (place, rung))
    counts = thread_counts(box.inventory.cpu.allowed)
    return [
        Candidate(rung.variant.id, subject, threads, place, size_bytes(bundle, rung.variant), threads == rung.threads)
        for place, rung in usual.values()
        for subject in (_subject(rung, versions, box.profile.name),)
        # An accelerator's user is a pipeline: it is measured when it is opened.
        if not measures_itself(rung.variant.runtime, rung.accelerator)
        # An accelerator does not get faster by more threads of the processor.
        for threads in (sorted({*counts, rung.threads}) if rung.accelerator == "cpu" else (rung.threads,))
    ]


def _subject(rung: Rung, versions: Mapping[str, str], profile: str) -> Subject:
    variant = rung.variant
    version = versions.get(variant.runtime, "unknown")
    return Subject(variant.sha256, variant.runtime, version, rung.accelerator, profile)


def _close(found: Iterable[Candidate], bundle: Bundle, box: Box) -> list[Candidate]:
    """Give those between which one measurement does not decide."""
    close = contenders(ladder(bundle, box).runnable)
    return [one for one in found if (one.variant, one.subject.accelerator, one.threads) in close]


def record(store: FiguresStore, job: Job, result: Figures | Unfit, clock: Clock) -> None:
    """Keep what was learned of a candidate, and log it."""
    at, subject = rfc3339(clock.wall_ns()), job.candidate.subject
    if isinstance(result, Unfit):
        # Of an accelerator it is no matter how many threads of the processor waited for it.
        is_any = result.any_threads or subject.accelerator != "cpu"
        threads = None if is_any else job.candidate.threads
        store.refuse(Refused(subject, threads, result.reason, at))
        logs.event(_LOG, "candidate.refused", level=logging.WARNING, candidate=name_of(job), reason=result.reason)
        return
    store.keep(Measured(subject, (result,), HERE, at))
    logs.event(_LOG, "candidate.measured", candidate=name_of(job), p50_ms=result.p50_ms, p99_ms=result.p99_ms)


def name_of(job: Job) -> str:
    """Name a candidate for people."""
    one = job.candidate
    return f"{job.bundle.manifest.name} {one.variant} on {one.subject.accelerator}, {one.threads} threads"


def feel(root: Path = Path("/")) -> Feel:
    """Read how the box feels now."""
    now = read(root)
    free = [bound for bound in (now.memory_available_mb, now.cgroup_headroom_mb) if bound is not None]
    return Feel(now.throttled, now.under_voltage, min(free) if free else None)
