"""Reads a sensor for some seconds through the daemon's own source: what was suggested is thereby shown to read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgectl.timing import Timing, timing
from edged.domain.errors import SourceLostError
from edged.domain.frame import Samples
from edged.domain.ports import Clock, Source
from edged.domain.tensor import Array

NS_PER_S = 1_000_000_000
KEPT = 100_000
"""Samples that are kept for the plot and the figures of channels: the newest; all are counted."""


@dataclass(frozen=True, slots=True)
class Read:
    """What came. ``values`` is (n, channels) float32 and ``times_s`` (n,) float64: the newest samples, dated as the daemon dates them."""

    timing: Timing
    values: Array
    times_s: Array
    drops: dict[str, int]
    lost: str = ""

    def channels(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Give each channel's figures."""
        if not len(self.values):
            return []
        lows, highs = self.values.min(axis=0), self.values.max(axis=0)
        means, spreads = self.values.mean(axis=0, dtype=np.float64), self.values.std(axis=0, dtype=np.float64)
        return [
            {"name": name, "min": _short(low), "max": _short(high), "mean": _short(mean), "std": _short(spread)}
            for name, low, high, mean, spread in zip(names, lows, highs, means, spreads, strict=True)
        ]


def read(source: Source, clock: Clock, seconds: float) -> Read:
    """Read for so many seconds, and close the source. What is lost meanwhile is told."""
    kept: deque[Samples] = deque()
    arrived_s: list[float] = []
    counts: list[int] = []
    held, lost = 0, ""
    # A source that says nothing waits for ever; closing it wakes it.
    end = threading.Timer(seconds, source.close)
    end.start()
    try:
        while isinstance(block := source.read(), Samples):
            arrived_s.append(clock.monotonic_ns() / NS_PER_S)
            counts.append(len(block.values))
            kept.append(block)
            held += len(block.values)
            while held - len(kept[0].values) > KEPT:
                held -= len(kept.popleft().values)
    except SourceLostError as error:
        lost = str(error)
    finally:
        end.cancel()
        end.join()
        source.close()
    drops = {cause: count for cause, count in getattr(source, "drops", {}).items() if count}
    values = np.concatenate([block.values for block in kept]) if kept else np.zeros((0, 0), np.float32)
    times_s = np.concatenate([block.times_s for block in kept]) if kept else np.zeros(0)
    return Read(timing(arrived_s, counts), values, times_s, drops, lost)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
