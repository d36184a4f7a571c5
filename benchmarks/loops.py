"""The daemon's loop on a frame that never changes, as fast as it goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from networks import Network, edged_model

from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock, Sink
from edged.domain.result import Event, Result
from edged.hardware.clock import SystemClock
from edged.pipeline.condition import When
from edged.pipeline.loop import Loop
from edged.pipeline.rules import Rule, Rules, Timing

PIPELINE = "bench"
FPS = 30.0
"""The source time that a frame stands for: rules run on it."""


class SameFrame:
    """An inbox that is never empty: what a camera's thread would have put there."""

    ended = False

    def __init__(self, data: Any) -> None:
        self._data = data
        self._index = 0

    def take(self, timeout_s: float) -> Frame:
        """Give the next frame at once."""
        del timeout_s
        index = self._index
        self._index += 1
        return Frame(self._data, Stamp(index, time.monotonic_ns(), time.time_ns(), index / FPS))

    def more(self) -> None:
        """Give one frame a turn, as a camera does."""


class CountingSink:
    """Counts."""

    def __init__(self) -> None:
        self.results = self.events = self.unknown = 0

    def result(self, result: Result) -> None:
        """Count one result."""
        self.results += 1
        self.unknown += result.output is None

    def event(self, _event: Event) -> None:
        """Count one event."""
        self.events += 1


def rules() -> Rules:
    """Give one rule, which the picture satisfies."""
    return Rules([Rule(PIPELINE, "seen", When(min_score=0.3), Timing(for_s=1.0))])


def fast_loop(net: Network, sinks: Sequence[Sink], clock: Clock | None = None) -> Loop:
    """Build the loop on a network."""
    return Loop(PIPELINE, SameFrame(net.frame()), edged_model(net), rules(), sinks, clock or SystemClock())
