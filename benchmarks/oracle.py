"""An oracle that tries every way to run every model several times, and what edged chooses by what it measures itself, in turns with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

from figure import Effort

from edged.assembly import bench
from edged.assembly.box import Box, ladder
from edged.assembly.figures_store import FiguresStore
from edged.assembly.jobs import Job, candidates, feel, jobs, record
from edged.assembly.measuring import BACKGROUND
from edged.config.schema import Objective
from edged.control.accuracy import grades
from edged.control.benchmark import SESSIONS, Later, Outcome, Run, judge, summary
from edged.control.benchmark import Effort as Budget
from edged.control.figures import middle
from edged.control.resolution import LEAST, reach
from edged.control.settle import DECIDES
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured
from edged.domain.variant import Identity
from edged.hardware.clock import SystemClock

ROUNDS = 6
"""Each tries everything, in turns with edged's own measurements, so that a minute in which the machine is slow is nobody's."""
TRIES = 3
"""What a busy machine kept from being measured is tried again as often in a pass; the daemon tries for as long as it runs."""
PREFERENCES: tuple[Literal["accuracy", "latency", "memory", "energy"], ...] = (
    "accuracy",
    "latency",
    "memory",
    "energy",
)
BOUNDS_MS = (None, 50.0, 5.0, 1.0)
Way = tuple[str, Identity]
"""Model and rung."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What edged has measured, and each of the oracle's rounds."""

    bundles: tuple[Bundle, ...]
    box: Box
    known: tuple[Measured, ...]
    rounds: tuple[dict[Way, Figures], ...]
    unmeasured: int = 0
    """What edged could not measure, since the machine was busy."""

    def oracle(self, every: int = 1, first: int = 0) -> dict[Way, Figures]:
        """Give the median of each number over the rounds, or over every so many of them."""
        rounds = self.rounds[first::every]
        everywhere = [way for way in self.rounds[0] if all(way in one for one in self.rounds)]
        return {way: middle([one[way] for one in rounds]) for way in everywhere}

    def recorded(self, figures: dict[Way, Figures]) -> tuple[Measured, ...]:
        """Give figures in the form in which a box keeps them."""
        return tuple(
            Measured(one.subject, (figures[way],), "here", "")
            for bundle in self.bundles
            for one in candidates(bundle, self.box)
            if (way := (bundle.manifest.name, (one.variant, one.subject.accelerator, one.threads))) in figures
        )


def tried(bundles: Sequence[Bundle], box: Box, effort: Effort) -> Tried:
    """Try everything: the oracle's rounds, and between them what edged measures in the background, as often as it would."""
    everything = [Job(one, bundle) for bundle in bundles for one in candidates(bundle, box)]
    rounds: list[dict[Way, Figures]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = FiguresStore(Path(folder))
        own = replace(box, store=store)
        for number in range(effort.times(ROUNDS)):
            rounds.append(_round(everything, effort))
            if number < SESSIONS:
                _pass(bundles, own, store)
        left = sum(not _is_known(job, store) for job in everything)
        return Tried(tuple(bundles), box, store.known().measured, tuple(rounds), left)


def _round(everything: Sequence[Job], effort: Effort) -> dict[Way, Figures]:
    found = {}
    budget = Budget(measure_s=max(0.1, 0.5 * effort.share), max_runs=1000)
    for job in everything:
        outcome = bench.measure(job.order(polite=False), budget, _at_once)
        if isinstance(outcome, Run):
            one = job.candidate
            way = job.bundle.manifest.name, (one.variant, one.subject.accelerator, one.threads)
            found[way] = summary(outcome, one.threads)
    return found


def _pass(bundles: Sequence[Bundle], box: Box, store: FiguresStore) -> None:
    """Measure what the daemon would measure now, as it does, once each."""
    for job in jobs(bundles, box, store):
        for _ in range(TRIES):
            result = _judged(job, bench.measure(job.order(polite=True), BACKGROUND, _at_once))
            if isinstance(result, Figures):
                record(store, job, result, SystemClock())
                break


def _judged(job: Job, outcome: Outcome) -> Figures | Later | None:
    return judge(outcome, job.candidate.threads, feel()) if isinstance(outcome, Run) else None


def _is_known(job: Job, store: FiguresStore) -> bool:
    one = job.candidate
    rows = (row for kept in store.known().measured if kept.subject == one.subject for row in kept.figures)
    return any(row.threads == one.threads for row in rows)


def _at_once(_busy_s: float) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Case:
    """One model with one objective and one bound of threads: what was chosen, and what the oracle would have.

    ``worse`` is what the chosen rung takes ÷ the least that any takes which is as good otherwise, of the figure that decides, as the
    oracle measured both; ``beyond`` the same, where it is more than ``resolution.LEAST``, else 1.
    """

    name: str
    chosen: Identity
    best: Identity
    strict: Identity
    """What has the least of the figure that decides, by whatever little."""
    worse: float
    beyond: float
    is_tie: bool
    """Whether chosen and best are equal as far as can be measured, in the figure that decides."""

    @property
    def is_same(self) -> bool:
        """Whether the same variant was chosen, with whatever number of threads."""
        return self.chosen[:2] == self.best[:2]


def cases(found: Tried, oracle: dict[Way, Figures] | None = None) -> Iterator[Case]:
    """Hold edged's choice against the oracle's for every model, preference, bound and number of threads."""
    oracle = oracle or found.oracle()
    recorded = found.recorded(oracle)
    counts = sorted({way[1][2] for way in oracle})
    for bundle, prefer, bound_ms, threads in product(found.bundles, PREFERENCES, BOUNDS_MS, counts):
        wanted = Objective(prefer=prefer, latency_ms=bound_ms)
        box = within(found.box, threads)
        chosen, best = (choice(bundle, box, figures, wanted) for figures in (found.known, recorded))
        rows = {one: row for (model, one), row in oracle.items() if model == bundle.manifest.name and one[2] <= threads}
        yield _case(bundle, wanted, threads, rows, (chosen, best))


def choice(bundle: Bundle, box: Box, figures: tuple[Measured, ...], wanted: Objective) -> Identity:
    """Give the rung that edged takes with these figures."""
    return ladder(bundle, replace(box, recorded=figures), None, wanted).runnable[0].identity


def within(box: Box, threads: int) -> Box:
    """Give the same box with so many processors."""
    return replace(box, inventory=replace(box.inventory, cpu=replace(box.inventory.cpu, allowed=float(threads))))


def _case(
    bundle: Bundle, wanted: Objective, threads: int, rows: dict[Identity, Figures], taken: tuple[Identity, Identity]
) -> Case:
    chosen, best = taken
    figure, decides = DECIDES[wanted.prefer]
    good = _good(bundle, wanted, rows)
    strict = min(good, key=lambda one: decides(rows[one]))
    mine, least = decides(rows[chosen]), decides(rows[strict])
    worse = mine / least if chosen in good else _missed(bundle, wanted, rows, chosen)
    beyond = worse if chosen not in good or mine - least > LEAST[figure] else 1.0
    is_tie = (
        {chosen, best} <= set(good)
        and mine <= reach(figure, decides(rows[best]))
        and decides(rows[best]) <= reach(figure, mine)
    )
    bound = "" if wanted.latency_ms is None else f" within {wanted.latency_ms:g} ms"
    name = f"{bundle.manifest.name}, {wanted.prefer}{bound}, up to {threads} threads"
    return Case(name, chosen, best, strict, worse, beyond, is_tie)


def _good(bundle: Bundle, wanted: Objective, rows: dict[Identity, Figures]) -> list[Identity]:
    """Give what meets the objective, or everything; where accuracy is preferred, of that what is as accurate as the best."""
    bound_ms = wanted.latency_ms or float("inf")
    meets = [one for one, row in rows.items() if row.p99_ms <= bound_ms] or list(rows)
    level = {name: grade.level for name, grade in grades(bundle).items()}
    best = min(level[one[0]] for one in meets)
    return [one for one in meets if wanted.prefer != "accuracy" or level[one[0]] == best]


def _missed(bundle: Bundle, wanted: Objective, rows: dict[Identity, Figures], chosen: Identity) -> float:
    """Give by what factor a rung misses the bound, or is less accurate than the best that meets it."""
    scores = {one.id: one.accuracy.value for one in bundle.manifest.variant if one.accuracy}
    best = max((scores.get(one[0], 0.0) for one in _good(bundle, wanted, rows)), default=0.0)
    late = rows[chosen].p99_ms / (wanted.latency_ms or float("inf"))
    return max(1.0, late, best / scores.get(chosen[0], best or 1.0))
