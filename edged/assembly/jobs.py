"""What there is to measure of the bundles that run here, and what becomes of the outcome."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edged.assembly.box import Box, ladder, runtime_versions
from edged.assembly.candidate import Order
from edged.assembly.engines import EDGETPU
from edged.assembly.figures_store import FiguresStore, brought
from edged.control.benchmark import Candidate, Feel, Refused, Unfit, thread_counts, to_measure
from edged.control.figures import HERE
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured, Subject
from edged.domain.ports import Clock
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
    """List what has no figures yet, the most urgent of each bundle first."""
    known = store.known()
    found: list[Job] = []
    for bundle in bundles:
        missing = to_measure(candidates(bundle, box), (*brought(bundle), *known.measured), known.refused)
        found += [Job(candidate, bundle) for candidate in missing]
    return found


def candidates(bundle: Bundle, box: Box) -> list[Candidate]:
    """List every way in which this box can run the bundle, the ladder's best first."""
    versions = runtime_versions(box)
    found: dict[tuple[str, str], int] = {}
    for place, rung in enumerate(ladder(bundle, box).runnable):
        found.setdefault((rung.variant.id, rung.accelerator), place)
    by_id = {variant.id: variant for variant in bundle.manifest.variant}
    counts = thread_counts(box.inventory.cpu.allowed)
    return [
        Candidate(name, subject, threads, place, _size(bundle.path_of(by_id[name])))
        for (name, accelerator), place in found.items()
        for variant in (by_id[name],)
        for subject in (
            Subject(
                variant.sha256,
                variant.runtime,
                versions.get(variant.runtime, "unknown"),
                accelerator,
                box.profile.name,
            ),
        )
        # An Edge TPU has one user, which is a pipeline: it is measured when it is opened.
        if accelerator != EDGETPU
        # An accelerator does not get faster by more threads of the processor.
        for threads in (counts if accelerator == "cpu" else counts[:1])
    ]


def record(store: FiguresStore, job: Job, result: Figures | Unfit, clock: Clock) -> None:
    """Keep what was learned of a candidate, and log it."""
    at, subject = rfc3339(clock.wall_ns()), job.candidate.subject
    if isinstance(result, Unfit):
        threads = None if result.any_threads else job.candidate.threads
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


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
