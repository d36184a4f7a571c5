"""The main job, one frame at a time: source → preprocess → engine → postprocess → rules → sinks.

A loop is steps without a thread: whoever owns it calls ``step`` until it says that there is no more. The model is
exchanged between two steps (``swap``), so that a new version loses no frame.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from edged.domain.errors import EdgedError
from edged.domain.frame import Frame
from edged.domain.ports import Clock, Sink
from edged.domain.result import Latency, Output, Result, Status
from edged.pipeline.model import Model
from edged.pipeline.rules import Rules

NS_PER_MS = 1_000_000


class Inbox(Protocol):
    """Where a loop's frames come from: a mailbox, or a list in a benchmark."""

    @property
    def ended(self) -> bool:
        """Whether there will never be another frame."""

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for a frame; None when none came in time or there are no more."""


class Refinement(Protocol):
    """Makes more of an answer before the rules see it: follows objects, or looks closer with a further model."""

    def __call__(self, output: Output, frame: Frame) -> Output:
        """Give the answer with what was added; called once a frame, in order."""

    def close(self) -> None:
        """Free what it holds."""


class Loop:
    """One pipeline on one model. Owned by one thread, but for ``swap``."""

    def __init__(
        self,
        name: str,
        inbox: Inbox,
        model: Model,
        rules: Rules,
        sinks: Sequence[Sink],
        clock: Clock,
        refinements: Sequence[Refinement] = (),
    ) -> None:
        self.name = name
        self._inbox = inbox
        self._model = model
        self._next: Model | None = None
        self._swapping = threading.Lock()
        self._rules = rules
        self._sinks = tuple(sinks)
        self._refinements = tuple(refinements)
        self._now_ns = clock.monotonic_ns
        self._frames = 0

    def __repr__(self) -> str:
        ref = self._model.ref
        return (
            f"<Loop {self.name}: {self._frames} frames on {ref.name} {ref.version} {ref.variant} ({ref.accelerator})>"
        )

    @property
    def model(self) -> Model:
        """What runs now."""
        return self._model

    @property
    def newest(self) -> Model:
        """What runs now, or what runs from the next frame on."""
        return self._next or self._model

    def swap(self, model: Model) -> None:
        """Run ``model`` from the next frame on, and free the old one then. May be called from another thread."""
        with self._swapping:
            passed_by, self._next = self._next, model
        if passed_by is not None:
            passed_by.engine.close()

    def step(self, timeout_s: float = 1.0) -> bool:
        """Take one frame to its end; False once the source has ended and its last frame was taken.

        Raises what the engine or the decoder raised, after the frame was reported as ``unknown``.
        """
        if self._next is not None:
            self._exchange()
        frame = self._inbox.take(timeout_s)
        if frame is None:
            return not self._inbox.ended
        self._frames += 1
        self._report(self._infer(frame))
        return True

    def finish(self) -> None:
        """Close every event that goes on: nobody will watch for its end."""
        for event in self._rules.finish():
            for sink in self._sinks:
                sink.event(event)

    def close(self) -> None:
        """Free the model, the one that was to follow it, and what refines their answers."""
        for refine in self._refinements:
            refine.close()
        self._model.engine.close()
        if self._next is not None:
            self._next.engine.close()

    def _exchange(self) -> None:
        with self._swapping:
            old, self._model, self._next = self._model, self.newest, None
        old.engine.close()

    def _infer(self, frame: Frame) -> Result:
        model, now_ns = self._model, self._now_ns
        marks = [now_ns()]
        try:
            tensors = model.preprocess(frame)
            marks.append(now_ns())
            outputs = model.engine.infer(tensors)
            marks.append(now_ns())
            output = model.decoder.decode(outputs, tensors, frame)
            for refine in self._refinements:
                output = refine(output, frame)
            marks.append(now_ns())
        except EdgedError as error:
            # A frame that could not be judged is said to be unknown: silence would read as "nothing there".
            self._report(self._result(frame, model, marks, None, error.code))
            raise
        return self._result(frame, model, marks, output, "")

    def _result(self, frame: Frame, model: Model, marks: list[int], output: Output | None, reason: str) -> Result:
        """Build the result; ``marks`` are the monotonic times at the start and after each stage that was reached."""
        start, ready, inferred, done = marks + [marks[-1]] * (4 - len(marks))
        latency = Latency(
            age_ms=(start - frame.stamp.mono_ns) / NS_PER_MS,
            preprocess_ms=(ready - start) / NS_PER_MS,
            inference_ms=(inferred - ready) / NS_PER_MS,
            postprocess_ms=(done - inferred) / NS_PER_MS,
        )
        status: Status = "unknown" if output is None else "ok"
        return Result(self.name, frame.stamp, model.ref, status, latency, output, reason)

    def _report(self, result: Result) -> None:
        events = self._rules.step(result)
        for sink in self._sinks:
            sink.result(result)
            for event in events:
                sink.event(event)
