"""A recorder that is fed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edged.assembly.clip import Clip, read_clip
from edged.assembly.recorder import Recorder
from edged.assembly.roll import Around
from edged.assembly.tap import Tap
from edged.config.schema import Pipeline
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Event, Latency, Phase, Result
from fakes.clock import FakeClock
from fakes.results import MODEL, anomaly
from fakes.tape import drain, recorder_on, stamped, subject

RATE_HZ = 8.0
"""Its steps are whole in binary."""
SETTINGS = Pipeline.model_validate({"name": "gate", "source": "s", "model": "m"})


class Stand:
    """A recorder with one tap, fed by hand: a window and its result an eighth of a second."""

    def __init__(self, folder: Path, around: Around | None = None, **settings: Any) -> None:
        self.folder, self.clock = folder, FakeClock()
        self.recorder: Recorder = recorder_on(folder, self.clock, **settings)
        self.tap: Tap = self.recorder.tap(subject(SETTINGS, self.recorder), around or Around(1.0, 1.0, 1 << 20))
        self.index = 0

    def see(self, count: int, size: int = 8) -> None:
        for _ in range(count):
            frame = self.frame(size)
            self.tap.frame(frame)
            self.tap.result(judged(frame.stamp))
            drain(self.recorder)
            self.clock.advance(1 / RATE_HZ)

    def frame(self, size: int = 8) -> Frame:
        frame = stamped(np.full((size, 1), self.index, np.float32), self.index, RATE_HZ)
        self.index += 1
        return frame

    def say(self, phase: Phase = "start", rule: str = "worn") -> None:
        result = judged(stamped(np.zeros((1, 1)), self.index - 1, RATE_HZ).stamp)
        self.tap.event(Event("gate", rule, phase, result.stamp, result.stamp, result))
        drain(self.recorder)

    def clips(self) -> list[Clip]:
        return [read_clip(file) for file in sorted(self.folder.glob("*.zip"))]


def judged(stamp: Stamp) -> Result:
    return Result("gate", stamp, MODEL, "ok", Latency(1.0, 0.5, 10.0, 0.2), anomaly(0.5))


def indices(rows: tuple[Mapping[str, Any], ...]) -> list[int]:
    return [row["index"] for row in rows]
