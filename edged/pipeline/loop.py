"""The main job, one frame at a time: source → preprocess → engine → postprocess → rules → sinks.

A loop is steps without a thread: whoever owns it calls ``step`` until it says that there is no more. The model is
exchanged between two steps (``swap``), so that a new version loses no frame.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Protocol

from edged.domain.errors import CalibratingError, EdgedError, FrameError
from edged.domain.frame import Frame
from edged.domain.health import Reason
from edged.domain.ports import Clock, Sink
from edged.domain.result import Latency, Output, Result, Status
from edged.pipeline.model import Model
from edged.pipeline.rules import Rules
from edged.pipeline.selftest import SelfTest
from edged.pipeline.turns import QUANTUM_NS, Turn

NS_PER_MS = 1_000_000
UNJUDGED_LIMIT = 10
"""So many frames in a row that cannot be judged are told: a single bad sample is no reason to call the box unwell."""


class Inbox(Protocol):
    """Where a loop's frames come from: a mailbox, or a list in a benchmark."""

    @property
    def ended(self) -> bool:
        """Whether there will never be another frame."""

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for a frame; None when none came in time or there are no more."""

    def more(self) -> Frame | None:
        """Give a frame that waits already, if any, while the one before is not reported yet."""


class Refinement(Protocol):
    """Makes more of an answer before the rules see it: follows objects, or looks closer with a further model."""

    def __call__(self, output: Output, frame: Frame) -> Output:
        """Give the answer with what was added; called once a frame, in order."""

    def close(self) -> None:
        """Free what it holds."""


class Stillness(Protocol):
    """Tells frames that need no inference, since they show what the last one showed."""

    def is_still(self, frame: Frame) -> bool:
        """Whether this frame needs none; called once a frame, in order."""

    def forget(self) -> None:
        """Say that the next one needs it."""


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
        *,
        turn: Callable[[], Turn] | None = None,
        gate: Stillness | None = None,
        selftest: SelfTest | None = None,
    ) -> None:
        """Put together what a frame goes through. ``turn`` is held while it computes, and for the frames that wait by then.

        ``selftest`` says what results are worth. With a ``gate`` the rules are given the last answer again for a still frame, and the
        sinks nothing but the events that come of it.
        """
        self._gate, self._selftest = gate, selftest
        self._last: Result | None = None
        self.name = name
        self._inbox = inbox
        self._model = model
        self._next: Model | None = None
        self._swapping = threading.Lock()
        self._rules = rules
        self._sinks = tuple(sinks)
        self._refinements = tuple(refinements)
        self._now_ns = clock.monotonic_ns
        self._turn = turn or nullcontext
        self._quantum_ns = QUANTUM_NS if turn else 0
        self._frames = 0
        self._unjudged = 0
        self._closed = False
        self._reason: Reason | None = None

    def __repr__(self) -> str:
        ref = self._model.ref
        return (
            f"<Loop {self.name}: {self._frames} frames on {ref.name} {ref.version} {ref.variant} ({ref.accelerator})>"
        )

    @property
    def reason(self) -> Reason | None:
        """Why none of its latest frames could be judged, or what lied of its engines; None while all is well."""
        return self._reason or (self._selftest.reason if self._selftest is not None else None)

    @property
    def model(self) -> Model:
        """What runs now."""
        return self._model

    @property
    def newest(self) -> Model:
        """What runs now, or what runs from the next frame on."""
        return self._next or self._model

    def swap(self, model: Model) -> bool:
        """Run ``model`` from the next frame on, and free the old one then. May be called from another thread.

        False when the loop was closed meanwhile: ``model`` is freed then.
        """
        with self._swapping:
            is_closed = self._closed
            passed_by, self._next = (model, None) if is_closed else (self._next, model)
        if passed_by is not None:
            passed_by.engine.close()
        return not is_closed

    def step(self, timeout_s: float = 1.0) -> bool:
        """Take a frame to its end, and within its turn those that wait already; False once the source has ended and its last was taken.

        Raises what the engine or the decoder raised, after the frame was reported as ``unknown``.
        """
        if self._next is not None:
            self._exchange()
        if self._selftest is not None and self._selftest.is_due(self._model) and not self._test(self._selftest):
            return True
        frame = self._inbox.take(timeout_s)
        if frame is None:
            return not self._inbox.ended
        if self._is_still(frame):
            return True
        results: list[Result] = []
        try:
            with self._turn() as is_wanted:
                self._judge(frame, results, is_wanted)
        finally:
            # Outside the turn: a sink may wait for the disk, and nobody shall wait for that.
            for result in results:
                self._report(result)
            self._last = results[-1] if results else None
        return True

    def close(self) -> None:
        """Free the model, the one that was to follow it, and what refines their answers."""
        with self._swapping:
            self._closed = True
            left_over, self._next = self._next, None
        for refine in self._refinements:
            refine.close()
        self._model.engine.close()
        if left_over is not None:
            left_over.engine.close()

    def _exchange(self) -> None:
        with self._swapping:
            old, self._model, self._next = self._model, self.newest, None
        self._last = None
        old.engine.close()

    def _test(self, selftest: SelfTest) -> bool:
        with self._turn():
            return selftest.test(self._model)

    def _is_still(self, frame: Frame) -> bool:
        """Whether the last answer holds for this frame, too. Rules go on then: an event's time must not stop where nothing moves."""
        if self._gate is None:
            return False
        last = self._last
        if last is None or last.output is None:
            self._gate.forget()
        if not self._gate.is_still(frame) or last is None:
            return False
        for event in self._rules.step(replace(last, stamp=frame.stamp)):
            for sink in self._sinks:
                sink.event(event)
        return True

    def _judge(self, frame: Frame, results: list[Result], is_wanted: Callable[[], bool] | None) -> None:
        until_ns = self._now_ns() + self._quantum_ns
        following: Frame | None = frame
        while following is not None:
            self._frames += 1
            result, error = self._infer(following)
            results.append(result)
            if error is not None:
                raise error
            may_go_on = self._now_ns() < until_ns and not (is_wanted and is_wanted())
            following = self._inbox.more() if may_go_on else None

    def _infer(self, frame: Frame) -> tuple[Result, EdgedError | None]:
        """Judge one frame; with the error that ends this loop, if it is one.

        A frame that could not be judged is said to be unknown: silence would read as "nothing there".
        """
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
            return self._result(frame, model, marks, None, error.code), self._serious(error)
        self._unjudged, self._reason = 0, None
        return self._result(frame, model, marks, output, ""), None

    def _serious(self, error: EdgedError) -> EdgedError | None:
        """Give the error, unless it is this one frame's alone."""
        if isinstance(error, FrameError):
            self._cannot_judge(error)
        return None if isinstance(error, FrameError | CalibratingError) else error

    def _cannot_judge(self, error: FrameError) -> None:
        self._unjudged += 1
        if self._unjudged == UNJUDGED_LIMIT:
            message = f"gives only unknown results: {error.args[0]}"
            self._reason = Reason(error.code, self.name, message, self._now_ns(), error.remedy)

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
        if output is not None and self._selftest is not None:
            status = self._selftest.saw(frame.stamp)
        return Result(self.name, frame.stamp, model.ref, status, latency, output, reason)

    def _report(self, result: Result) -> None:
        events = self._rules.step(result)
        for sink in self._sinks:
            sink.result(result)
            for event in events:
                sink.event(event)
