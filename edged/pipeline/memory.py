"""Models that remember: outputs that are carried to inputs between frames.

Seen from the outside such a model is like any other, with one input and without the outputs that only feed it. Its memory begins with
zeros, and begins anew where the source's time has a gap: what was before has nothing to do with what comes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edged.domain.bundle import State
from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.ports import Engine
from edged.domain.tensor import FREE, Array, TensorSpec
from edged.pipeline.encode import encode
from edged.pipeline.preprocess import Preprocess
from edged.pipeline.window import HISTORY_STEPS, is_gap


def carrying(engine: Engine, states: Sequence[State], file: str) -> Engine:
    """Give the engine itself when it remembers nothing, otherwise one that carries ``states`` from call to call.

    Raises:
        BundleError: The file has no such tensors, or more inputs than the frame's and those.
    """
    names = [spec.name for spec in engine.inputs]
    fed = [state.input for state in states]
    if len(names) - len(set(fed) & set(names)) != 1:
        message = f"cannot feed {file}: it has inputs {', '.join(names)}, expected one for the frame"
        raise BundleError(message, remedy="name each further input, and the output that it comes from, in [[state]]")
    return RememberingEngine(engine, states, file) if states else engine


class RememberingEngine:
    """An engine of one input that keeps the rest for itself. One thread."""

    def __init__(self, engine: Engine, states: Sequence[State], file: str) -> None:
        self._engine = engine
        inputs = [_place(engine.inputs, state.input, "input", file) for state in states]
        self._from = [_place(engine.outputs, state.output, "output", file) for state in states]
        if len(set(inputs)) != len(inputs):
            message = f"cannot feed {file}: an input stands twice in [[state]], expected each once"
            raise BundleError(message)
        self._to = inputs
        self._frame_at = next(index for index in range(len(engine.inputs)) if index not in inputs)
        self._told = [index for index in range(len(engine.outputs)) if index not in self._from]
        self._zeros = [_zeros(engine.inputs[index]) for index in inputs]
        for source, target in zip(self._from, self._to, strict=True):
            _require_fit(engine.outputs[source], engine.inputs[target], file)
        self._memory = list(self._zeros)

    def __repr__(self) -> str:
        return f"<RememberingEngine {self._engine!r}: {len(self._memory)} tensors>"

    @property
    def runtime(self) -> str:
        """What runs the model."""
        return self._engine.runtime

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The frame's input."""
        return (self._engine.inputs[self._frame_at],)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that are not only carried."""
        return tuple(self._engine.outputs[index] for index in self._told)

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Run once on the frame's tensor and the memory, and remember."""
        given: list[Array] = [tensors[0]] * len(self._engine.inputs)
        for place, remembered in zip(self._to, self._memory, strict=True):
            given[place] = remembered
        outputs = self._engine.infer(given)
        for index, (source, target) in enumerate(zip(self._from, self._to, strict=True)):
            self._memory[index] = self._carried(outputs[source], source, target)
        return [outputs[index] for index in self._told]

    def close(self) -> None:
        """Free the model. May be called twice."""
        self._engine.close()

    def forget(self) -> None:
        """Begin anew with zeros."""
        self._memory = list(self._zeros)

    @property
    def memory(self) -> tuple[Array, ...]:
        """What goes into the next call, for who lets one engine follow several things in turns."""
        return tuple(self._memory)

    def recall(self, memory: Sequence[Array] | None) -> None:
        """Go on from a ``memory`` of before; begin anew with None."""
        self._memory = list(self._zeros if memory is None else memory)

    def _carried(self, values: Array, source: int, target: int) -> Array:
        given, wanted = self._engine.outputs[source], self._engine.inputs[target]
        if (given.dtype, given.quantization) == (wanted.dtype, wanted.quantization):
            return values
        return encode(given.real(values), wanted)


def forgetting(engine: Engine, prepare: Preprocess) -> Preprocess:
    """Give ``prepare``, which for an engine that remembers makes it forget first where the source's time has a gap."""
    return _Forgetting(engine, prepare) if isinstance(engine, RememberingEngine) else prepare


class _Forgetting:
    def __init__(self, engine: RememberingEngine, prepare: Preprocess) -> None:
        self._engine = engine
        self._prepare = prepare
        self._last_s: float | None = None
        self._steps: NDArray[np.float64] = np.empty(0)

    def __call__(self, frame: Frame) -> tuple[Array]:
        now_s = frame.stamp.source_s
        step_s = 0.0 if self._last_s is None else now_s - self._last_s
        # Golden samples all bear the same time: each of them is a beginning.
        if step_s <= 0 or is_gap(self._steps, step_s):
            self._engine.forget()
            self._steps = self._steps[:0]
        else:
            self._steps = np.append(self._steps, step_s)[-HISTORY_STEPS:]
        self._last_s = now_s
        return self._prepare(frame)


def _place(specs: Sequence[TensorSpec], name: str, kind: str, file: str) -> int:
    names = [spec.name for spec in specs]
    if name not in names:
        message = f"cannot carry {kind} {name!r} of {file}: there is none, expected one of {', '.join(names)}"
        raise BundleError(message)
    return names.index(name)


def _zeros(spec: TensorSpec) -> Array:
    """Give the tensor that stands for zeros; what the file leaves open is 1, as a batch axis is."""
    zero = spec.quantization.zero_point if spec.quantization else 0
    return np.full([1 if size == FREE else size for size in spec.shape], zero, spec.dtype)


def _require_fit(given: TensorSpec, wanted: TensorSpec, file: str) -> None:
    fits = len(given.shape) == len(wanted.shape) and all(
        one == other or FREE in {one, other} for one, other in zip(given.shape, wanted.shape, strict=True)
    )
    if not fits:
        shapes = [" x ".join(map(str, spec.shape)) for spec in (given, wanted)]
        message = (
            f"cannot carry {given.name!r} to {wanted.name!r} in {file}: its shape is {shapes[0]}, expected {shapes[1]}"
        )
        raise BundleError(message)
