"""Eight sources, each with a pipeline on the same network, against one: what they take from each other."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from figure import Effort, Figure, median, quantile
from live import Live, live
from networks import Network, Size, network

from edged.assembly.box import survey
from edged.assembly.lines import Lines
from edged.assembly.supply import Supply
from edged.config.schema import ImagesSource, Pipeline, Report
from edged.pipeline.line import Line
from edged.pipeline.turns import Turns

SOURCES = 8
TARGET = 0.95
PAIRS, BLOCK_S = 20, 1.0
SETTLE_S = 0.1
READY_S = 60.0
SIZES: tuple[Size, ...] = ("small", "large")


@dataclass(frozen=True, slots=True)
class Ran:
    """Results a second of all lines together, and the CPU time of one."""

    rate: float
    cpu_ms: float


def measure(effort: Effort) -> list[Figure]:
    """Give a row for each network."""
    return [_measured(size, effort) for size in SIZES]


def _measured(size: Size, effort: Effort) -> Figure:
    with tempfile.TemporaryDirectory() as name, live(Path(name)) as fleet:
        net = network(size, Path(name))
        one, eight = (_lines(net, Path(name), fleet, count) for count in (1, SOURCES))
        try:
            return _compared(net, one, eight, effort)
        finally:
            for line in (*one, *eight):
                line.stop()
            for line in (*one, *eight):
                line.join(2.0)


def _compared(net: Network, one: Sequence[Line], eight: Sequence[Line], effort: Effort) -> Figure:
    _pause(one)
    _pause(eight)
    alone, together = [], []
    for _ in range(effort.times(PAIRS)):
        first, ours, second = _ran(one, BLOCK_S / 2), _ran(eight, BLOCK_S), _ran(one, BLOCK_S / 2)
        alone.append(Ran((first.rate + second.rate) / 2, (first.cpu_ms + second.cpu_ms) / 2))
        together.append(ours)
    pairs = list(zip(together, alone, strict=True))
    ratios = [ours.rate / theirs.rate for ours, theirs in pairs]
    by_cpu = median([theirs.cpu_ms / ours.cpu_ms for ours, theirs in pairs])
    ratio = median(ratios)
    return Figure(
        f"eight sources with a pipeline each ÷ one source, frames a second in all, {net.name}",
        f"≥ {TARGET}",
        f"{ratio:.3f}",
        None if net.is_substitute else ratio >= TARGET,
        f"middle half of {len(ratios)} pairs {quantile(ratios, 0.25):.3f} to {quantile(ratios, 0.75):.3f}; by CPU time {by_cpu:.3f}; "
        f"{_words(alone)} → {_words(together)}; each source reads pictures as fast as its pipeline takes them, "
        "the pipelines share the interpreters, which have as many threads as the box's profile says",
    )


def _words(blocks: Sequence[Ran]) -> str:
    rate, cpu_ms = median([block.rate for block in blocks]), median([block.cpu_ms for block in blocks])
    return f"{rate:.0f} frames/s on {rate * cpu_ms / 1000:.2f} cores"


def _lines(net: Network, folder: Path, fleet: Live, count: int) -> list[Line]:
    """Build so many lines as the daemon does, and wait until each gives results."""
    pictures = folder / "pictures"
    if not pictures.exists():  # written once: lines that run already read it
        pictures.mkdir()
        # Small and without compression: what is compared is inference, and decoding would hide it.
        cv2.imwrite(str(pictures / "a.bmp"), cv2.resize(net.frame(), (160, 120), interpolation=cv2.INTER_AREA))
    supply = Supply((net.bundle.folder.parent,), folder / "state", survey(Path("/"), "auto", ()), fleet.clock)
    turns = Turns(len(os.sched_getaffinity(0)))
    lines = Lines(supply, fleet.outbox, fleet.stamper, fleet.clock, turns=turns)
    built = []
    for number in range(count):
        source = ImagesSource(name=f"s{count}-{number}", kind="images", path=pictures, loop=True)
        name = net.bundle.manifest.name
        report = Report(results="changes")
        pipeline = Pipeline(name=f"p{count}-{number}", source=source.name, model=name, report=report)
        built.append(lines.build(source, [pipeline]))
    for line in built:
        line.start()
    until_s = time.monotonic() + READY_S
    while not all(_results([line]) for line in built):
        if time.monotonic() > until_s:
            message = f"cannot compare: {built} give no results, expected all of them to"
            raise RuntimeError(message)
        time.sleep(0.05)
    return built


def _ran(lines: Sequence[Line], seconds: float) -> Ran:
    """Let these run for a while."""
    for line in lines:
        line.pipelines[0].resume()
    time.sleep(SETTLE_S)
    before, began_s, cpu_s = _results(lines), time.monotonic(), time.process_time()
    time.sleep(seconds)
    took_s, spent_s, results = time.monotonic() - began_s, time.process_time() - cpu_s, _results(lines) - before
    _pause(lines)
    return Ran(results / took_s, 1000 * spent_s / max(1, results))


def _pause(lines: Sequence[Line]) -> None:
    for line in lines:
        line.pipelines[0].pause()
    time.sleep(SETTLE_S)


def _results(lines: Sequence[Line]) -> int:
    return sum(line.pipelines[0].metrics.results for line in lines)
