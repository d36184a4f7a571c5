"""Reconstruction anomaly: how badly an autoencoder gives back its own input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.domain.errors import EngineLostError
from edged.domain.result import Anomaly
from edged.pipeline.postprocess.binding import Binding, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.domain.frame import Frame
    from edged.domain.tensor import Array, TensorSpec

NO_THRESHOLD = "[output] names no threshold"
WANTED = "one output of the shape of the one input"


def bind(binding: Binding) -> ReconstructionDecoder:
    """Bind to the one output that has as many numbers as the one input.

    Raises:
        BundleError: The output does not mirror the input, or the bundle names no threshold.
    """
    binding.only_keys("threshold")
    if binding.output.threshold is None:
        raise binding.refuse(NO_THRESHOLD, "the score above which a window counts as an anomaly")
    pairs = (binding.inputs, binding.outputs)
    if any(len(specs) != 1 for specs in pairs) or _solid(binding.inputs[0]) != _solid(binding.outputs[0]):
        shapes = ", ".join(str(spec.shape) for spec in binding.inputs)
        observed = f"{describe(binding.outputs)} for inputs of shape {shapes}"
        raise binding.refuse(observed, WANTED)
    return ReconstructionDecoder(binding.inputs[0], binding.outputs[0], binding.output.threshold)


def _solid(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(size for size in spec.shape if size not in {1, -1})


class ReconstructionDecoder:
    """The score is the mean squared error between input and output in real values, over all of them."""

    def __init__(self, given: TensorSpec, back: TensorSpec, threshold: float) -> None:
        self._given = given
        self._back = back
        self._threshold = threshold

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Anomaly:
        """Give the window's score."""
        del frame
        error = self._given.real(inputs[0]).reshape(-1) - self._back.real(outputs[0]).reshape(-1)
        score = float(np.dot(error, error)) / error.size
        if not np.isfinite(score):
            message = f"cannot decode output {self._back.name!r}: the score is {score}, expected a finite number"
            raise EngineLostError(
                message, remedy="load the model again; if it stays, the file or the accelerator is at fault"
            )
        return Anomaly(score, self._threshold)
