"""The loop with outbox and broker live: every result is reported at QoS 1, none is dropped; against the same by hand as ``throughput``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from figure import Effort, Figure, median
from live import Live, live
from loops import fast_loop
from networks import Size, bare_model, network
from pairs import compare

from edged.sinks.due import Due
from edged.sinks.report import ReportSink
from edged.telemetry.metrics import PipelineMetrics

TARGETS: dict[Size, float] = {"large": 0.95, "small": 0.75}
PAIRS, BLOCK_S = 60, 1.0
DRAIN_S = 20.0


def measure(effort: Effort) -> list[Figure]:
    """Give a row for each network."""
    figures = []
    for size in TARGETS:
        with tempfile.TemporaryDirectory() as folder, live(Path(folder)) as fleet:
            figures.append(_measure(size, Path(folder), fleet, effort))
    return figures


def _measure(size: Size, folder: Path, fleet: Live, effort: Effort) -> Figure:
    net = network(size, folder)
    answer, frame = bare_model(net), net.frame()
    metrics = PipelineMetrics()
    loop = fast_loop(
        net, (metrics, ReportSink(fleet.outbox, fleet.stamper, Due("all"), qos=1, wait_s=0.0)), fleet.clock
    )

    def bare(frames: int) -> None:
        for _ in range(frames):
            answer(frame)

    def ours(frames: int) -> None:
        for _ in range(frames):
            loop.step()
        # The last acknowledgement belongs to the block: what is left over would be carried by the bare half that follows.
        fleet.outbox.drain(DRAIN_S)

    ratios = compare(bare, ours, pairs=effort.times(PAIRS), block_s=BLOCK_S)
    loop.close()
    stats = fleet.outbox.stats()
    lost = sum(stats.dropped.values()) + stats.evicted + stats.rejected + stats.unstored + stats.pending
    ratio, target = median(ratios.wall), TARGETS[size]
    return Figure(
        f"the same with outbox and {fleet.broker} live, {net.name}",
        f"≥ {target:.2f}, none dropped",
        f"{ratio:.3f}, {lost} of {metrics.results} dropped",
        None if net.is_substitute else ratio >= target and not lost,
        ratios.spread(),
    )
