"""The choice of a variant: against an oracle that tries everything, against the float file, and what measuring costs a pipeline."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from figure import Effort, Figure, quantile
from live import Live, live
from oracle import Case, Tried, Way, cases, choice, tried

from edged.assembly import bench
from edged.assembly.box import Box, survey
from edged.assembly.candidate import Order
from edged.assembly.figures_store import FiguresStore
from edged.assembly.lines import Lines
from edged.assembly.measuring import Measuring
from edged.assembly.supply import Supply
from edged.config.schema import ImagesSource, Objective, Pipeline, Report
from edged.config.share import shipped
from edged.control.benchmark import Effort as Budget
from edged.control.benchmark import Later, Outcome
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures
from edged.domain.variant import Identity
from edged.pipeline.line import Line
from edged.telemetry.metrics import Histogram
from edged.update.manifest import find_bundles

SAME_TARGET, WORST_TARGET = 0.95, 1.10
DISTURBANCE_TARGET = 1.10
FPS, BLOCK_S, BLOCKS = 50.0, 12.0, 16
SETTLE_S, READY_S = 2.0, 60.0


def measure(effort: Effort) -> list[Figure]:
    """Give a row for each question."""
    box = survey(Path("/"), "auto", ())
    bundles = [found[0] for _, found in sorted(find_bundles((shipped("models"),)).bundles.items())]
    found = tried(bundles, box, effort)
    return [_against_oracle(found), _gain(found), _disturbance(effort)]


def _against_oracle(found: Tried) -> Figure:
    every = list(cases(found))
    same, worst = _part(every, lambda case: case.is_same), max(every, key=lambda case: case.beyond)
    return Figure(
        "the choice against an oracle that tries everything several times, in turns",
        f"same variant ≥ {SAME_TARGET:.0%}, never worse than {WORST_TARGET - 1:.0%}",
        f"{same:.1%} the same, at worst {worst.beyond - 1:+.1%}",
        same >= SAME_TARGET and worst.beyond <= WORST_TARGET,
        "; ".join(_told(found, every, worst)),
    )


def _told(found: Tried, every: Sequence[Case], worst: Case) -> Iterator[str]:
    """Say what stands behind the row, what counts as equal, and what would be without that."""
    yield f"{len(every)} cases: {len(found.bundles)} models, each with 4 preferences, 4 bounds and every number of threads"
    yield _others(every)
    yield f"with the same number of threads too: {_part(every, lambda case: case.chosen == case.best):.1%}"
    yield f"worst against what takes the least: {worst.name}, {_words(worst.chosen)} for {_words(worst.strict)}"
    yield f"less than 0.05 ms or 0.5 MiB is not counted as worse (at most {max(case.worse for case in every) - 1:+.0%})"
    names = [bundle.manifest.name for bundle in found.bundles]
    of_each = {name: [case for case in every if case.name.startswith(f"{name},")] for name in names}
    strict = ", ".join(
        f"{name} {_part(of_each[name], lambda case: case.chosen[:2] == case.strict[:2]):.1%}" for name in names
    )
    yield (
        "both hold for equal what lies within 5 %, 0.05 ms or 0.5 MiB, which is the daemon's rule; the variant that takes the least by "
        f"whatever little is chosen in {strict}, and two halves of the oracle's own rounds agree on that one in {_agreement(found):.1%}"
    )
    if found.unmeasured:
        yield f"{found.unmeasured} ways could not be measured beside what the machine did"


def _part(every: Sequence[Case], is_it: Callable[[Case], bool]) -> float:
    return sum(map(is_it, every)) / len(every)


def _others(every: Sequence[Case]) -> str:
    """Tell of the cases with another variant: how many are near-ties, and the first that is none."""
    others = [case for case in every if not case.is_same]
    if not others:
        return "no case differs"
    real = [case for case in others if not case.is_tie]
    first = f", such as {real[0].name}: {_words(real[0].chosen)} for {_words(real[0].best)}" if real else ""
    return f"{len(others)} cases differ, {len(others) - len(real)} of them equal as far as can be measured{first}"


def _agreement(found: Tried) -> float:
    """Give how often the oracle's odd and even rounds have the same variant first, without any rule for equals."""
    halves = [[case.strict[:2] for case in cases(found, found.oracle(2, first))] for first in (0, 1)]
    return sum(one == other for one, other in zip(*halves, strict=True)) / len(halves[0])


def _gain(found: Tried) -> Figure:
    gains, oracle = {}, found.oracle()
    for bundle in found.bundles:
        name = bundle.manifest.name
        chosen, usual = choice(bundle, found.box, found.known, Objective()), _usual(bundle, oracle)
        gains[name] = oracle[name, usual].p50_ms / oracle[name, chosen].p50_ms, _words(chosen), _words(usual)
    least, most = (end(gain for gain, _, _ in gains.values()) for end in (min, max))
    told = "; ".join(f"{name} {gain:.2f} ({chosen} for {usual})" for name, (gain, chosen, usual) in gains.items())
    return Figure(
        "speed of the chosen variant ÷ the fp32 file that one would run otherwise",
        "≥ 1",
        f"{least:.2f} to {most:.2f}",
        least >= 1 / WORST_TARGET,
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
