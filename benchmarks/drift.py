"""What the watch for drift costs: CPU a look, and CPU a frame of 30 a second with a look every 10 s."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from figure import Effort, Figure, median, quantile

from edged.assembly.box import survey
from edged.assembly.drift_files import DriftFiles
from edged.assembly.drifting import Drifting
from edged.assembly.models import open_best
from edged.config.schema import Drift
from edged.config.share import shipped
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Detection, Detections
from edged.domain.tensor import Array
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.drift import Monitor
from edged.pipeline.drift_learning import Row, learn
from edged.pipeline.reference import Reference
from edged.pipeline.traits import traits
from edged.update.manifest import read_bundle

TARGET_MS = 0.2
LOOKS, FRAMES = 1000, 30_000
FPS, EVERY_S = 30.0, 10.0
OUTPUT = Detections(tuple(Detection("car", 0.9 - k / 20, (0.1, 0.1, 0.4, 0.4)) for k in range(8)))


class _Nowhere:
    """An outbox that takes everything."""

    def put(self, _draft: object, *, wait_s: float = 0.0) -> bool:
        """Take it."""
        return wait_s >= 0


def measure(effort: Effort) -> list[Figure]:
    """Give a row for one look at 720p, and one for a frame of a stream."""
    picture = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
    look_ms = _looks(picture, effort.times(LOOKS))
    frame_ms = _stream(picture, effort.times(FRAMES))
    return [
        Figure(
            "the watch for drift: CPU of one look, picture of 1280 by 720, judged",
            f"≤ {TARGET_MS} ms",
            f"{median(look_ms):.3f} ms",
            median(look_ms) <= TARGET_MS,
            f"p95 {quantile(look_ms, 0.95):.3f} ms",
        ),
        Figure(
            f"the same: CPU a frame, {FPS:.0f} a second and a look every {EVERY_S:.0f} s",
            f"≤ {TARGET_MS} ms",
            f"{frame_ms:.4f} ms",
            frame_ms <= TARGET_MS,
        ),
    ]


def _looks(picture: Array, times: int) -> list[float]:
    monitor, spent = Monitor(_reference(picture)), []
    for number in range(times):
        frame = Frame(picture, Stamp(number, 0, 0, number * EVERY_S))
        began_ns = time.thread_time_ns()
        monitor.step(frame.stamp.source_s, frame.stamp.source_s, traits(frame, OUTPUT))
        spent.append((time.thread_time_ns() - began_ns) / 1e6)
    return spent


def _stream(picture: Array, frames: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        DriftFiles(Path(folder), "bench").write_reference(_reference(picture))
        clock = SystemClock()
        watch = Drifting("bench", Drift(every_s=EVERY_S), Path(folder), _Nowhere(), Stamper("boot", clock))
        opened = open_best(read_bundle(shipped("models") / "parts"), survey(Path("/"), "auto", ()))
        watch.runs(opened)
        began_ns = time.process_time_ns()
        for number in range(frames):
            watch(OUTPUT, Frame(picture, Stamp(number, 0, 0, number / FPS)))
        spent_ms = (time.process_time_ns() - began_ns) / 1e6
        watch.close()
        opened.model.engine.close()
    return spent_ms / frames


def _reference(picture: Array) -> Reference:
    made = np.random.default_rng(2)
    seen = traits(Frame(picture, Stamp(0, 0, 0, 0.0)), OUTPUT)
    rows = [
        Row(
            k * EVERY_S,
            k * EVERY_S,
            {n: v if isinstance(v, str) else v * float(made.normal(1, 0.05)) for n, v in seen.items()},
        )
        for k in range(400)
    ]
    found = learn(rows).reference
    assert found is not None  # noqa: S101 - as it was made
    return found
