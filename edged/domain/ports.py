"""The seams of edged: what the flows ask of the world. Each adapter keeps the contract that stands here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from edged.domain.frame import Frame, Samples
from edged.domain.message import Draft
from edged.domain.result import Event, Output, Result
from edged.domain.tensor import Array, TensorSpec


class Clock(Protocol):
    """Time, as an argument. Deadlines use ``monotonic_ns``; ``wall_ns`` is only ever a label."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since boot; never steps."""

    def wall_ns(self) -> int:
        """Unix time in nanoseconds; may step."""

    def synced(self) -> bool:
        """Whether the kernel believes that the wall clock is right."""


class Source(Protocol):
    """Where frames or samples come from. Owned by one thread, which opens it by building it and closes it."""

    def read(self) -> Frame | Samples | None:
        """Block until there is something; None is the clean end of a finite source, and stays None.

        Raises SourceLostError when the device or stream stopped, after which only ``close`` may be called.
        """

    def close(self) -> None:
        """Give the device back. May be called twice, and while another thread is in ``read``."""


@runtime_checkable
class Queued(Protocol):
    """What an engine is, too, whose device others run something on: of those whose calls wait the highest ``priority`` comes first."""

    priority: int


class Engine(Protocol):
    """A loaded model: tensors in, tensors out, nothing decoded. One thread at a time unless the adapter says else."""

    @property
    def runtime(self) -> str:
        """What runs the model, as results name it: ``litert``, ``tflite-runtime``, ``onnxruntime``."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that ``infer`` takes, in its order."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that ``infer`` gives, in its order."""

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Run once. Arrays fit ``inputs`` in shape and dtype; the answer is the caller's to keep.

        Raises EngineLostError when the runtime fails; the engine is then closed and built again.
        """

    def close(self) -> None:
        """Free the model. May be called twice."""


class Decoder(Protocol):
    """Turns an engine's outputs into meaning. Built for one engine's ``outputs``; holds no state between calls."""

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Output:
        """Give the answer for ``frame``. Outputs, and the inputs that led to them, come in the engine's order, still quantised.

        Raises EngineLostError when the numbers make no answer (NaN).
        """


class Sink(Protocol):
    """Where results and events go. Called from a pipeline's thread; must neither block for long nor raise."""

    def result(self, result: Result) -> None:
        """Take one frame's result."""

    def event(self, event: Event) -> None:
        """Take one event."""


class DocumentSink(Protocol):
    """Where everything that the box tells goes besides its broker. Called on one thread of its own."""

    def take(self, stream: str, document: Mapping[str, Any]) -> None:
        """Take a document as ``out/<stream>`` carries it, without ``device`` and ``seq``; it is shared, and must not be changed."""

    def trouble(self) -> str:
        """Say in a sentence why nothing is delivered now; empty when all is well. Called on any thread."""

    def close(self) -> None:
        """Deliver what can be delivered within a second, and end."""


class Outbox(Protocol):
    """The durable queue to the fleet. Thread-safe."""

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:
        """Hand a document to the writer; False when its inbox stayed full for ``wait_s`` (counted as a drop)."""


class Notifier(Protocol):
    """The service manager (sd_notify)."""

    def notify(self, fields: Mapping[str, str]) -> None:
        """Send fields such as READY=1 or STATUS=…; does nothing when nobody listens, and never raises."""
