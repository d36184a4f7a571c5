"""The loop through decode and rules into a counting sink, against preprocess and invoke by hand; one thread."""

from __future__ import annotations

import tempfile
from pathlib import Path

from figure import Effort, Figure, median
from loops import CountingSink, fast_loop
from networks import Size, bare_model, network
from pairs import compare

TARGETS: dict[Size, float] = {"large": 0.98, "small": 0.90}
PEERS: dict[Size, str] = {"large": "Frigate 0.956", "small": "Frigate 0.61 of bare invoke"}
PAIRS, BLOCK_S = 200, 0.1


def measure(effort: Effort) -> list[Figure]:
    """Give a row for each network."""
    with tempfile.TemporaryDirectory() as folder:
        return [_measure(size, Path(folder), effort) for size in TARGETS]


def _measure(size: Size, folder: Path, effort: Effort) -> Figure:
    net = network(size, folder)
    answer, frame = bare_model(net), net.frame()
    sink = CountingSink()
    loop = fast_loop(net, (sink,))

    def bare(frames: int) -> None:
        for _ in range(frames):
            answer(frame)

    def ours(frames: int) -> None:
        for _ in range(frames):
            loop.step()

    ratios = compare(bare, ours, pairs=effort.times(PAIRS), block_s=BLOCK_S)
    loop.close()
    ratio, target = median(ratios.wall), TARGETS[size]
    return Figure(
        f"loop into a counting sink ÷ by hand, {net.name}",
        f"≥ {target:.2f}",
        f"{ratio:.3f}",
        None if net.is_substitute else ratio >= target and not sink.unknown,
        ratios.spread(),
        PEERS[size],
    )
