"""The choice of a variant: against an oracle that tries everything, against the float file, and what measuring costs a pipeline."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from figure import Effort, Figure, median, quantile
from live import Live, live

from edged.assembly import bench
from edged.assembly.box import Box, ladder, survey
from edged.assembly.candidate import Order
from edged.assembly.figures_store import FiguresStore
from edged.assembly.jobs import Job, candidates
from edged.assembly.lines import Lines
from edged.assembly.measuring import Measuring
from edged.assembly.supply import Supply
from edged.config.schema import ImagesSource, Objective, Pipeline, Report
from edged.config.share import shipped
from edged.control.benchmark import Effort as Budget
from edged.control.benchmark import Later, Outcome, Run, summary
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures, Measured
from edged.domain.variant import Identity
from edged.pipeline.line import Line
from edged.telemetry.metrics import Histogram
from edged.update.manifest import find_bundles

ROUNDS = 5
"""Of the oracle: each tries every way to run every model, in turns, so that a minute in which the machine is slow is nobody's."""
SAME_TARGET, WORST_TARGET = 0.95, 1.10
DISTURBANCE_TARGET = 1.10
FPS, BLOCK_S, BLOCKS = 50.0, 12.0, 16
SETTLE_S, READY_S = 2.0, 60.0
PREFERENCES: tuple[Literal["accuracy", "latency", "memory", "energy"], ...] = (
    "accuracy",
    "latency",
    "memory",
    "energy",
)
BOUNDS_MS = (None, 50.0, 5.0, 1.0)
TIE = 1.10
"""What lies closer together cannot be told apart by a second measurement: either of both is the right answer."""
Way = tuple[str, Identity]
"""Model and rung."""


def measure(effort: Effort) -> list[Figure]:
    """Give a row for each question."""
    box = survey(Path("/"), "auto", ())
    bundles = [found[0] for _, found in sorted(find_bundles((shipped("models"),)).bundles.items())]
    known, oracle = _tried(bundles, box, effort)
    return [_against_oracle(bundles, box, known, oracle), _gain(bundles, box, known, oracle), _disturbance(effort)]


def _tried(bundles: Sequence[Bundle], box: Box, effort: Effort) -> tuple[dict[Way, Figures], dict[Way, Figures]]:
    """Give what edged measures in one go, and what the oracle knows: each number the median of its own rounds."""
    jobs = [Job(one, bundle) for bundle in bundles for one in candidates(bundle, box)]
    known = _round(jobs, effort)
    rounds = [_round(jobs, effort) for _ in range(effort.times(ROUNDS))]
    everywhere = [way for way in known if all(way in one for one in rounds)]
    return {way: known[way] for way in everywhere}, {way: _middle([one[way] for one in rounds]) for way in everywhere}


def _round(jobs: Sequence[Job], effort: Effort) -> dict[Way, Figures]:
    found = {}
    for job in jobs:
        budget = Budget(measure_s=max(0.1, 0.5 * effort.share), max_runs=1000)
        outcome = bench.measure(job.order(polite=False), budget, lambda _busy_s: True)
        if isinstance(outcome, Run):
            one = job.candidate
            way = job.bundle.manifest.name, (one.variant, one.subject.accelerator, one.threads)
            found[way] = summary(outcome, one.threads)
    return found


def _middle(rows: Sequence[Figures]) -> Figures:
    names = ("p50_ms", "p99_ms", "cpu_ms", "load_ms", "peak_memory_mb")
    return replace(rows[0], **{name: median([getattr(row, name) for row in rows]) for name in names})


@dataclass(frozen=True, slots=True)
class Case:
    """One model with one objective and one bound of threads: what was chosen, and what the oracle would have."""

    name: str
    chosen: Identity
    best: Identity
    worse: float
    """What the chosen rung takes ÷ what the oracle's takes, both as the oracle measured them: p50, or what is preferred to it."""

    @property
    def is_same(self) -> bool:
        """Whether the same variant was chosen, or one that no second measurement tells from it."""
        return self.chosen[:2] == self.best[:2] or self.worse <= TIE


def _against_oracle(
    bundles: Sequence[Bundle], box: Box, known: dict[Way, Figures], oracle: dict[Way, Figures]
) -> Figure:
    cases = list(_cases(bundles, box, known, oracle))
    exact = sum(case.chosen[:2] == case.best[:2] for case in cases) / len(cases)
    same = sum(case.is_same for case in cases) / len(cases)
    worst = max(cases, key=lambda case: case.worse)
    return Figure(
        "the choice against an oracle that tries everything several times",
        f"same variant ≥ {SAME_TARGET:.0%}, never worse than {WORST_TARGET - 1:.0%}",
        f"{same:.1%} the same, at worst {worst.worse - 1:+.1%}",
        same >= SAME_TARGET and worst.worse <= WORST_TARGET,
        f"{len(cases)} cases: {len(bundles)} models, each with 4 preferences, 4 bounds and every number of threads; {exact:.1%} to the "
        f"letter, the others within {TIE - 1:.0%} by the oracle's p50 (memory, CPU time where those are preferred); worst: {worst.name}, "
        f"{_words(worst.chosen)} for {_words(worst.best)}",
    )


def _cases(
    bundles: Sequence[Bundle], box: Box, known: dict[Way, Figures], oracle: dict[Way, Figures]
) -> Iterator[Case]:
    counts = sorted({way[1][2] for way in known})
    for bundle, prefer, bound_ms, threads in product(bundles, PREFERENCES, BOUNDS_MS, counts):
        wanted = Objective(prefer=prefer, latency_ms=bound_ms)
        chosen, best = (_chosen(bundle, box, figures, wanted, threads) for figures in (known, oracle))
        truth = {identity: row for (name, identity), row in oracle.items() if name == bundle.manifest.name}
        within = "" if bound_ms is None else f" within {bound_ms:g} ms"
        name = f"{bundle.manifest.name}, {prefer}{within}, up to {threads} threads"
        yield Case(name, chosen, best, _worse(truth[chosen], truth[best], wanted))


def _chosen(bundle: Bundle, box: Box, figures: dict[Way, Figures], wanted: Objective, threads: int) -> Identity:
    """Give the rung that edged's own choice takes with these figures, of up to so many threads."""
    recorded = _recorded(bundle, box, figures, threads)
    cpu = replace(box.inventory.cpu, allowed=float(threads))
    held = replace(box, recorded=recorded, inventory=replace(box.inventory, cpu=cpu))
    return ladder(bundle, held, None, wanted).runnable[0].identity


def _recorded(bundle: Bundle, box: Box, figures: dict[Way, Figures], threads: int) -> tuple[Measured, ...]:
    return tuple(
        Measured(one.subject, (row,), "here", "")
        for one in candidates(bundle, box)
        for way in ((bundle.manifest.name, (one.variant, one.subject.accelerator, one.threads)),)
        for row in ([figures[way]] if way in figures and one.threads <= threads else [])
    )


def _worse(chosen: Figures, best: Figures, wanted: Objective) -> float:
    """Give how much more the chosen rung takes of what the objective is about."""
    if wanted.prefer == "memory":
        return chosen.peak_memory_mb / best.peak_memory_mb
    if wanted.prefer == "energy":
        return chosen.cpu_ms / best.cpu_ms
    return chosen.p50_ms / best.p50_ms


def _gain(bundles: Sequence[Bundle], box: Box, known: dict[Way, Figures], oracle: dict[Way, Figures]) -> Figure:
    gains = {}
    for bundle in bundles:
        name = bundle.manifest.name
        most = max(way[1][2] for way in known)
        chosen = _chosen(bundle, box, known, Objective(), most)
        usual = _usual(bundle, oracle)
        gains[name] = oracle[name, usual].p50_ms / oracle[name, chosen].p50_ms, _words(chosen), _words(usual)
    least, most = (end(gain for gain, _, _ in gains.values()) for end in (min, max))
    told = "; ".join(f"{name} {gain:.2f} ({chosen} for {usual})" for name, (gain, chosen, usual) in gains.items())
    return Figure(
        "speed of the chosen variant ÷ the fp32 file that one would run otherwise",
        "≥ 1",
        f"{least:.2f} to {most:.2f}",
        least >= 1 / TIE,
        f"by p50 of the engine's call, both as the oracle measured them: {told}",
    )


def _usual(bundle: Bundle, oracle: dict[Way, Figures]) -> Identity:
    """Give what a user without figures would run: the first fp32 file, on one thread as its runtime's own default."""
    variants = bundle.manifest.variant
    first = next((variant for variant in variants if variant.precision == "fp32"), variants[0])
    return next(one for name, one in oracle if name == bundle.manifest.name and one[0] == first.id and one[2] == 1)


def _words(identity: Identity) -> str:
    return f"{identity[0]} x{identity[2]}"


def _disturbance(effort: Effort) -> Figure:
    """Let a pipeline run, in turns with and without something that measures behind it."""
    with tempfile.TemporaryDirectory() as name, live(Path(name)) as fleet:
        folder = Path(name)
        box = survey(Path("/"), "auto", ())
        supply = Supply((shipped("models"),), folder / "state", box, fleet.clock)
        line = _line(supply, fleet)
        try:
            quiet, busy, children = _in_turns(line, supply, box, fleet, folder, effort)
        finally:
            line.stop()
            line.join(5.0)
    ratio = _p99(busy) / _p99(quiet)
    noise = _p99(quiet[1::2]) / _p99(quiet[::2])
    return Figure(
        "a running pipeline's p99 with background measuring ÷ without",
        f"≤ {DISTURBANCE_TARGET}",
        f"{ratio:.3f}",
        ratio <= DISTURBANCE_TARGET,
        f"capture to result at {FPS:g} frames/s, {len(quiet)} blocks of {BLOCK_S:g} s in turns with as many without, each side's frames "
        f"together: p99 {_p99(quiet):.2f} → {_p99(busy):.2f} ms; every other block without ÷ the others without: {noise:.3f}; "
        f"{children} children were begun",
    )


def _p99(blocks: Sequence[Sequence[float]]) -> float:
    return quantile([value for block in blocks for value in block], 0.99)


def _in_turns(
    line: Line, supply: Supply, box: Box, fleet: Live, folder: Path, effort: Effort
) -> tuple[list[list[float]], list[list[float]], int]:
    totals = line.pipelines[0].metrics.stages["total"] = Times()
    gate, begun = Gate(), []

    def measures(order: Order, budget: Budget, rest: bench.Rest) -> Outcome:
        begun.append(order)
        bench.measure(order, budget, rest)
        # No figure is kept: the pipeline would go on with a better variant in the middle, and what is left to measure would end.
        return Later("this is a benchmark")

    lines: Any = lambda: [line, gate]  # noqa: E731 - the gate is no line, but starts like one
    store = FiguresStore(folder / "figures")
    # One thread for all blocks: it learns what the pipeline bears, as a daemon's does.
    made = Measuring(box, store, supply, lines, fleet.clock, settle_s=SETTLE_S, measures=measures)
    made.start()
    quiet: list[list[float]] = []
    busy: list[list[float]] = []
    for _ in range(effort.times(BLOCKS)):
        for is_open, times in ((False, quiet), (True, busy)):
            gate.is_open = is_open
            time.sleep(SETTLE_S + 1.0)
            times.append(totals.during(BLOCK_S))
    made.stop()
    made.join(5.0)
    return quiet, busy, len(begun)


class Times(Histogram):
    """Keeps every time as it is: a histogram's buckets are wider than what is looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[float] = []

    def add(self, value_ms: float) -> None:
        """Count one time."""
        super().add(value_ms)
        self.values.append(value_ms)

    def during(self, seconds: float) -> list[float]:
        """Give those of the next seconds."""
        before = len(self.values)
        time.sleep(seconds)
        return self.values[before:]


class Gate:
    """Looks to the measuring thread like a line that starts for as long as it is shut: nothing is measured then."""

    is_open = False

    @property
    def pipelines(self) -> list[Any]:
        """Give its one pipeline."""
        state = "ended" if self.is_open else "starting"
        return [SimpleNamespace(name="gate", worker=SimpleNamespace(state=state, steps=None))]

    def reload(self) -> None:
        """Nothing."""


def _line(supply: Supply, fleet: Live) -> Line:
    source = ImagesSource(name="belt", kind="images", path=shipped("models") / "parts" / "golden", fps=FPS, loop=True)
    lines = Lines(supply, fleet.outbox, fleet.stamper, fleet.clock)
    line = lines.build(source, [Pipeline(name="a", source="belt", model="parts", report=Report(results="changes"))])
    line.start()
    until_s = time.monotonic() + READY_S
    while not line.pipelines[0].metrics.results:
        if time.monotonic() > until_s:
            message = f"cannot measure what is disturbed: {line!r} gives no results, expected some"
            raise RuntimeError(message)
        time.sleep(0.05)
    return line
