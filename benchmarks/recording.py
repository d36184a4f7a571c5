"""What recording costs a pipeline: the loop with a recorder that writes everything to disk, against the same loop without; in turns."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from figure import Effort, Figure, median, quantile
from loops import PIPELINE, CountingSink, SameFrame, rules
from networks import edged_model, network

from edged.assembly.clip_ring import Ring
from edged.assembly.recorder import Recorder, Tools
from edged.assembly.roll import Around, Subject
from edged.assembly.tap import Tap
from edged.domain.frame import Frame
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.loop import Loop

PAIRS, FRAMES = 60, 60
TARGET = 0.95
RING_BYTES = 256 * 1024**2
FOR_EVER_S = 1e9


class HeardFrame(SameFrame):
    """The same with a tap at it, as an inlet has."""

    def __init__(self, data: object, tap: Tap) -> None:
        super().__init__(data)
        self._tap = tap

    def take(self, timeout_s: float) -> Frame:
        """Give the next frame, heard."""
        frame = super().take(timeout_s)
        self._tap.frame(frame)
        return frame


def measure(effort: Effort) -> list[Figure]:
    """Give the ratio of rates, with what was left out."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        net = network("large", Path(folder))
        ring = Ring(Path(folder) / "recordings", RING_BYTES, 7, clock)
        recorder = Recorder(Tools(ring, Stamper("bench", clock), dict, lossless=False), clock)
        tap = recorder.tap(Subject(PIPELINE, {}, Path("/absent")), Around(10.0, 10.0, 1 << 25))
        sinks = CountingSink(), CountingSink()
        off = Loop(PIPELINE, SameFrame(net.frame()), edged_model(net), rules(), (sinks[0],), clock)
        on = Loop(PIPELINE, HeardFrame(net.frame(), tap), edged_model(net), rules(), (sinks[1], tap), clock)
        tap.ask(FOR_EVER_S)
        recorder.start()

        wall, cost_ms = _paired(off, on, recorder, effort.times(PAIRS))
        recorder.join(10.0)
        off.close()
        on.close()
    ratio = median(wall)
    return [
        Figure(
            f"pipeline rate with everything recorded ÷ without, {net.name}, 640 x 480 as JPEG",
            f"≥ {TARGET:.2f}",
            f"{ratio:.3f}",
            None if net.is_substitute else ratio >= TARGET,
            f"middle half of {len(wall)} pairs {quantile(wall, 0.25):.3f} to {quantile(wall, 0.75):.3f}; "
            f"the recorder takes {median(cost_ms):.2f} ms of CPU an input, in a thread that gives way",
        )
    ]


def _paired(off: Loop, on: Loop, recorder: Recorder, pairs: int) -> tuple[list[float], list[float]]:
    """Give the ratio of rates and what recording adds to an input's processor time, a pair each."""
    frames = FRAMES
    wall, cost_ms = [], []
    for _ in range(pairs):
        first, ours, second = _timed(off, frames // 2), _timed(on, frames, recorder), _timed(off, frames // 2)
        wall.append((first[0] + second[0]) / ours[0])
        cost_ms.append((ours[1] - first[1] - second[1]) / frames / 1e6)
    return wall, cost_ms


def _timed(loop: Loop, frames: int, recorder: Recorder | None = None) -> tuple[int, int]:
    """Give nanoseconds by the wall clock, of the loop alone, and of CPU time, with all that was still to be encoded and written."""
    wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    for _ in range(frames):
        loop.step()
    wall_ns = time.perf_counter_ns() - wall_ns
    while recorder is not None and ", 0 waiting" not in repr(recorder):
        time.sleep(0.001)
    return wall_ns, time.process_time_ns() - cpu_ns
