"""An engine that computes what a test says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.domain.errors import EngineLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.domain.tensor import Array, TensorSpec


class FakeEngine:
    """Runs ``compute`` on what it is given, and fails from the ``fails_from``-th call on (counted from 0)."""

    runtime = "fake"

    def __init__(
        self,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        compute: Callable[[Sequence[Array]], list[Array]],
        *,
        fails_from: int | None = None,
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._compute = compute
        self._fails_from = fails_from
        self.calls = 0
        self.closed = self.is_lost = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        if self.closed:
            message = "cannot run a fake: its engine was closed"
            raise EngineLostError(message)
        if self._fails_from is not None and self.calls >= self._fails_from:
            self.is_lost = True
            message = f"cannot run a fake: call {self.calls} fails, as the test asked"
            raise EngineLostError(message)
        self.calls += 1
        for spec, tensor in zip(self._inputs, tensors, strict=True):
            if spec.shape != tensor.shape or spec.dtype != tensor.dtype.name:
                message = f"cannot run a fake: {tensor.shape} {tensor.dtype}, expected {spec.shape} {spec.dtype}"
                raise EngineLostError(message)
        return self._compute(tensors)

    def close(self) -> None:
        self.closed = True
