"""Two ways of doing the same, measured side by side: half of one, all of the other, half of the one.

A shared machine's speed drifts within seconds; within one short pair it hardly does, and the median of many pairs forgets the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from figure import median, quantile

Block = Callable[[int], None]
"""Does so many frames, to the end of their last consequence."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """Speed of ours ÷ speed of the bare way, per pair: by the wall clock, and by the CPU time of the whole process."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    bare_ms: float
    ours_ms: float

    def spread(self) -> str:
        """Say how far the pairs lie apart, what the CPU time says, and how long a frame takes either way."""
        quartiles = f"{quantile(self.wall, 0.25):.3f} to {quantile(self.wall, 0.75):.3f}"
        return (
            f"middle half of {len(self.wall)} pairs {quartiles}; by CPU time {median(self.cpu):.3f}; "
            f"CPU a frame {self.bare_ms:.3f} → {self.ours_ms:.3f} ms"
        )


def compare(bare: Block, ours: Block, *, pairs: int, block_s: float) -> Ratios:
    """Measure ``pairs`` pairs of about ``block_s`` a side."""
    frames = _frames_in(bare, block_s)
    ours(frames)
    wall: list[float] = []
    cpu: list[float] = []
    costs: list[tuple[float, float]] = []
    for _ in range(pairs):
        first, ours_took, second = _timed(bare, frames // 2), _timed(ours, frames), _timed(bare, frames // 2)
        wall.append((first[0] + second[0]) / ours_took[0])
        cpu.append((first[1] + second[1]) / ours_took[1])
        costs.append(((first[1] + second[1]) / frames / 1e6, ours_took[1] / frames / 1e6))
    bare_ms, ours_ms = (median([cost[side] for cost in costs]) for side in (0, 1))
    return Ratios(tuple(wall), tuple(cpu), bare_ms, ours_ms)


def _frames_in(block: Block, seconds: float) -> int:
    """Give an even number of frames that take about so long."""
    block(8)
    took_ns, _ = _timed(block, 32)
    return max(2, int(seconds * 1e9 / took_ns * 32) // 2 * 2)


def _timed(block: Block, frames: int) -> tuple[int, int]:
    """Give nanoseconds by the wall clock and of CPU time, all threads of this process together."""
    wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    block(frames)
    return time.perf_counter_ns() - wall_ns, time.process_time_ns() - cpu_ns
