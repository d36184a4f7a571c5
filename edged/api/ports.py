"""What serving asks of the box: models that can be brought in, and instances of them that answer. ``edged.assembly`` implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from edged.api.sequences import Step
from edged.domain.frame import Frame
from edged.domain.result import Output
from edged.domain.tensor import Array, TensorSpec

Turn = AbstractContextManager[object]
"""Held while an instance computes."""


class Instance(Protocol):
    """One way to run a model, used by one thread. Several instances of a model may share what lies behind them."""

    def infer(self, tensors: Sequence[Array], step: Step | None = None) -> list[Array]:
        """Run once; arrays in the model's order, in and out. Raises EngineLostError, after which only ``close`` may be called.

        A model that remembers is asked with the ``step`` of a sequence, and raises RefusedError for one that it does not know.
        """

    def answer(self, given: bytes | Frame, step: Step | None = None) -> Output:
        """Answer an encoded picture or a window as a pipeline would: preprocessed, run and decoded.

        Raises FrameError for what is no such thing, and as ``infer``.
        """

    def close(self) -> None:
        """Give it back. May be called twice."""


class Brought(Protocol):
    """A model that was brought in and opened once."""

    @property
    def name(self) -> str:
        """The bundle's."""

    @property
    def version(self) -> str:
        """The bundle's."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What ``Instance.infer`` takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What ``Instance.infer`` gives."""

    @property
    def takes(self) -> str:
        """What ``Instance.answer`` takes: ``image``, ``window``, or empty when this model answers tensors only."""

    @property
    def remembers(self) -> bool:
        """Whether its requests are steps of sequences; ``most`` is 1 then, so that they are answered in the order in which they came."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What a client may want to know of it: platform, backend, task, variant, accelerator, digest."""

    @property
    def most(self) -> int:
        """How many instances could pay at most."""

    def instance(self) -> Instance:
        """Give one more instance, warmed up. Raises BudgetError when memory has no room for it, and other EdgedErrors."""

    def turn(self) -> Turn:
        """Give what is held while one of its instances computes: pipelines go first."""

    def close(self) -> None:
        """Free what its instances shared, after the last of them was closed. May be called twice."""


class Supplier(Protocol):
    """The box's models. Thread-safe."""

    def offered(self) -> Mapping[str, str]:
        """Give every model that could be brought in, by name, with its version (empty when it is not known yet)."""

    def runs(self, name: str) -> bool:
        """Whether a pipeline runs this model: then it is brought in for the first request."""

    def bring(self, name: str) -> Brought:
        """Bring a model in and open it; takes seconds. Raises EdgedError: BudgetError when memory has no room for it."""
