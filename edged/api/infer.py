"""One inference request, from what a protocol has read of it to what the protocol will write: the same for HTTP and gRPC.

``begin`` checks a request and lets it wait for an instance; the ``Pending`` that it gives is waited for by ``result`` (a thread, for
gRPC) or through its ``outcome``, with ``expire`` called after ``left_s`` (an event loop, for HTTP), and ``answer`` makes the response.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from edged.api import words
from edged.api.batching import rows_of
from edged.api.outcome import Outcome
from edged.api.pictures import checked
from edged.api.ports import Instance
from edged.api.refusal import invalid
from edged.api.sequences import Step
from edged.api.serve import NS_PER_S, Job, Served, late
from edged.api.tensors import BYTES, Tensor, fitted, named
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock
from edged.domain.tensor import Array

USUAL_PRIORITY = 8
"""The level of a request that names none (or 0); 1 is the highest."""
LOWEST_PRIORITY = 1 << 31
NS_PER_US = 1000
LONGEST_US = 1 << 62
"""gRPC says centuries for a call that has no deadline."""


Ask = Callable[[Instance], Any]
Answer = Callable[[Any], tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a client asks. ``version`` empty: the one that runs. ``outputs`` None: all of them.

    ``timeout_us`` is how long it may wait for a run to begin; 0 is the server's own limit. ``decoded``: the one input is an encoded
    picture (BYTES of one element, or UINT8) or a window (numbers, samples by channels), and the answer is the decoder's. ``traceparent``
    is the trace that the client names, if any. ``step`` says to which sequence it belongs; only models that remember heed it.
    """

    model: str
    inputs: tuple[Tensor, ...]
    version: str = ""
    id: str = ""
    outputs: tuple[str, ...] | None = None
    priority: int = 0
    timeout_us: int = 0
    decoded: bool = False
    traceparent: str = ""
    step: Step | None = None

    def __post_init__(self) -> None:
        """Refuse numbers out of range. Raises RefusedError."""
        if not 0 <= self.priority <= LOWEST_PRIORITY or not 0 <= self.timeout_us < 1 << 63:
            message = f"cannot take priority {self.priority} and timeout {self.timeout_us}, expected whole numbers of 0 or more"
            raise invalid(message)

    def within(self, limit_us: int) -> InferRequest:
        """Give it with a client's own deadline: it may wait for the shorter of the two. At least 1 µs is left: 0 would be no limit."""
        wanted = min(max(1, limit_us), LONGEST_US)
        return replace(self, timeout_us=min(self.timeout_us or wanted, wanted))


@dataclass(frozen=True, slots=True)
class InferResponse:
    """What it is answered; ``outputs`` in the order in which they were asked for."""

    model: str
    version: str
    id: str
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a model and how its answer is made, for as many requests as differ by their numbers alone."""

    request: InferRequest
    served: Served
    clock: Clock
    wait_ns: int
    answer: Answer = field(repr=False)
    rows: int = 0
    """How many items a request brings that may lie beside others in a run; 0 of one that may not."""

    def begin(self, ask: Ask, tensors: list[Array] | None) -> Pending:
        """Let a request wait; ``tensors`` may lie beside others in a run. Raises RefusedError."""
        now_ns = self.clock.monotonic_ns()
        job = Job(ask, now_ns + self.wait_ns, now_ns, tensors=tensors, rows=self.rows or 1)
        self.served.submit(job, self.request.priority or USUAL_PRIORITY)
        return Pending(self, job)

    def again(self, arrays: list[Array]) -> Pending:
        """Let a request for tensors wait that brings these, in the engine's order and of the same shapes. Raises RefusedError."""
        return self.begin(partial(_infer, arrays, self.request.step), arrays if self.rows else None)


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits, or runs."""

    question: Question
    job: Job

    @property
    def served(self) -> Served:
        """The model."""
        return self.question.served

    @property
    def outcome(self) -> Outcome:
        """Told what came of it; give its result to ``answer``. Its errors are RefusedError."""
        return self.job.outcome

    def left_s(self) -> float:
        """Give how long it may still wait for its run to begin."""
        return max(0.0, (self.job.deadline_ns - self.question.clock.monotonic_ns()) / NS_PER_S)

    def expire(self) -> None:
        """Refuse it when it still waits, since its time is over. When it runs already, its answer will come."""
        if self.served.withdraw(self.job):
            self.served.counts.refused("late")
            waited_ns = self.question.clock.monotonic_ns() - self.job.arrived_ns
            self.outcome.fail(late(self.question.request.model, waited_ns))

    def forget(self) -> None:
        """Take it out of the line since nobody waits for its answer any more."""
        if self.served.withdraw(self.job):
            self.outcome.cancel()

    def result(self) -> InferResponse:
        """Wait for the answer on this thread. Raises RefusedError, at the deadline when no run has begun by then."""
        try:
            found = self.outcome.result(self.left_s())
        except TimeoutError:
            self.expire()
            found = self.outcome.result()
        return self.answer(found)

    def answer(self, found: Any) -> InferResponse:
        """Make the response of what a run gave."""
        question, brought = self.question, self.served.brought
        return InferResponse(brought.name, brought.version, question.request.id, question.answer(found))


def begin(request: InferRequest, served: Served, clock: Clock, limit_s: float) -> Pending:
    """Check a request and let it wait. ``limit_s`` is the longest that any may wait. Raises RefusedError."""
    limit_ns = int(limit_s * NS_PER_S)
    wait_ns = min(limit_ns, request.timeout_us * NS_PER_US) if request.timeout_us else limit_ns
    if served.brought.remembers and request.step is None:
        message = f"cannot run {request.model!r} alone: it remembers what it saw, expected sequence_id, and sequence_start with the first"
        raise invalid(message)
    question = partial(Question, replace(request, inputs=()), served, clock, wait_ns)
    if request.decoded:
        ask, answer = _decoding(request, served)
        return question(answer).begin(ask, None)
    arrays = fitted(request.inputs, served.brought.inputs)
    rows = 0 if served.brought.remembers else rows_of(arrays)
    return question(_picking(request, served), rows).again(arrays)


def _picking(request: InferRequest, served: Served) -> Answer:
    """Give how a request for tensors is answered. Raises RefusedError."""
    names = [spec.name for spec in served.brought.outputs]
    wanted = _wanted(request, names)
    places = [names.index(name) for name in wanted]
    return partial(_picked, tuple(zip(wanted, places, strict=True)))


def _infer(arrays: list[Array], step: Step | None, instance: Instance) -> list[Array]:
    return instance.infer(arrays, step)


def _picked(wanted: tuple[tuple[str, int], ...], found: list[Array]) -> tuple[Tensor, ...]:
    return tuple(named(name, found[place]) for name, place in wanted)


def _decoding(request: InferRequest, served: Served) -> tuple[Ask, Answer]:
    """Give how a picture or a window is asked for and answered. Raises RefusedError."""
    given = _given(request, served)
    wanted = _wanted(request, [words.ANSWER, words.TEXT])

    def answer(found: Any) -> tuple[Tensor, ...]:
        told = {tensor.name: tensor for tensor in words.answered(found)}
        return tuple(told[name] for name in wanted)

    return (lambda instance: instance.answer(given, request.step)), answer


def _given(request: InferRequest, served: Served) -> bytes | Frame:
    """Give the picture or the window of a request that shall be decoded."""
    takes, name = served.brought.takes, request.model
    if not takes:
        message = f"cannot decode what {name!r} answers: it has no decoder, expected tensors without decoded"
        raise invalid(message)
    if len(request.inputs) != 1:
        message = f"cannot decode {len(request.inputs)} inputs with {name!r}, expected one {takes}"
        raise invalid(message)
    tensor = request.inputs[0]
    if takes == "image":
        return _encoded(tensor)
    if not isinstance(tensor.data, np.ndarray) or tensor.data.ndim not in {1, 2}:
        seen = f"its shape is {list(tensor.shape)} of {tensor.datatype}"
        message = f"cannot read a window from input {tensor.name!r}: {seen}, expected [samples, channels] of numbers"
        raise invalid(message)
    window = np.asarray(tensor.data, np.float32).reshape(tensor.shape[0], -1)
    return Frame(window, Stamp(0, time.monotonic_ns(), time.time_ns(), 0.0))


def _encoded(tensor: Tensor) -> bytes:
    if isinstance(tensor.data, tuple) and len(tensor.data) == 1:
        return checked(tensor.data[0])
    if isinstance(tensor.data, np.ndarray) and tensor.datatype == "UINT8" and tensor.data.ndim == 1:
        return checked(tensor.data.tobytes())
    seen = f"its shape is {list(tensor.shape)} of {tensor.datatype}"
    message = f"cannot read a picture from input {tensor.name!r}: {seen}, expected [1] of {BYTES}"
    raise invalid(message)


def _wanted(request: InferRequest, names: list[str]) -> tuple[str, ...]:
    if request.outputs is None:
        return tuple(names)
    strange = [name for name in request.outputs if name not in names]
    if strange or len(set(request.outputs)) != len(request.outputs) or not request.outputs:
        told = ", ".join(repr(name)[:80] for name in request.outputs)
        message = f"cannot give outputs {told or 'none'}: expected each of {', '.join(map(repr, names))} at most once"
        raise invalid(message)
    return request.outputs
