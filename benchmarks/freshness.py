"""How old a frame is when its inference starts: a source of 20 frames a second, a model that takes 200 ms."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from figure import Effort, Figure, median

from edged.domain.frame import Frame, Stamp
from edged.domain.result import Classes, Event, ModelRef, Result
from edged.domain.tensor import Array, TensorSpec
from edged.hardware.clock import SystemClock
from edged.pipeline.feed import Feed
from edged.pipeline.loop import Loop
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.model import Model
from edged.pipeline.reader import Reader
from edged.pipeline.rules import Rules

FRAMES = 51
FRAME_S, INFERENCE_S = 0.050, 0.200
SWEEP_S = 0.020
"""The model's time varies by this in all, so that it meets the source at every phase of its period."""
TARGET_MS = 60.0
WARM_UP = 2


class Camera:
    """Delivers a frame each 50 ms, stamped when it is there, whoever looks at it."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._data = np.zeros((480, 640, 3), np.uint8)
        self._began_s = time.monotonic()
        self._index = 0

    def read(self) -> Frame:
        """Wait for the next frame."""
        self._index += 1
        time.sleep(max(0.0, self._began_s + self._index * FRAME_S - time.monotonic()))
        stamp = Stamp(self._index, self._clock.monotonic_ns(), self._clock.wall_ns(), self._index * FRAME_S)
        return Frame(self._data.copy(), stamp)

    def close(self) -> None:
        """Nothing to give back."""


class SlowEngine:
    """Takes 200 ms, on average."""

    runtime = "none"
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self) -> None:
        self._calls = 0

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Sleep as a native call does: without holding the interpreter."""
        del tensors
        self._calls += 1
        phase = self._calls * 7 % FRAMES / FRAMES - 0.5
        time.sleep(INFERENCE_S + phase * SWEEP_S)
        return []

    def close(self) -> None:
        """Nothing to free."""


class NoClasses:
    """Decodes nothing."""

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Classes:
        """Give no classes."""
        del outputs, inputs, frame
        return Classes(())


class Ages:
    """Keeps how old each frame was when its inference began, in ms."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def result(self, result: Result) -> None:
        """Keep one."""
        self.values.append(result.latency.age_ms + result.latency.preprocess_ms)

    def event(self, event: Event) -> None:
        """There are no rules."""


def measure(effort: Effort) -> list[Figure]:
    """Give the one row."""
    clock, ages, mailbox = SystemClock(), Ages(), Mailbox("bench")
    feed = Feed("camera", lambda: Camera(clock), clock, readers=[Reader(mailbox)])
    ref = ModelRef("slow", "1.0.0", "slow", "", "none", "cpu")
    model = Model(ref, lambda frame: (frame.data,), SlowEngine(), NoClasses())
    loop = Loop("bench", mailbox, model, Rules(()), (ages,), clock)
    feed.start()
    while len(ages.values) < WARM_UP + effort.times(FRAMES):
        loop.step()
    feed.stop()
    feed.join(1.0)
    values = ages.values[WARM_UP:]
    return [
        Figure(
            "frame age when inference starts, source 20 fps, consumer 5 fps",
            f"≤ {TARGET_MS:.0f} ms",
            f"{median(values):.1f} ms, at worst {max(values):.1f} ms",
            max(values) <= TARGET_MS,
            f"{len(values)} frames; {mailbox.drops.get('replaced', 0)} older ones replaced by newer",
            "Frigate 415 to 430 ms",
        )
    ]
