"""Regression: the model's numbers are the answer, in the unit that it was trained on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edged.domain.errors import EngineLostError
from edged.domain.result import Value, Values
from edged.pipeline.postprocess.binding import Binding, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.domain.frame import Frame
    from edged.domain.tensor import Array

WANTED = "outputs of fixed shapes with at most 1000 numbers in all"
MAX_VALUES = 1000
"""More numbers than these are a picture or a spectrum, and no answer that a rule or a reader can use."""


def bind(binding: Binding) -> RegressionDecoder:
    """Bind to every output, in the file's order; labels name the numbers.

    Raises:
        BundleError: The outputs are too many numbers, or the labels are not as many.
    """
    binding.only_keys()
    sizes = [
        math.prod(size for size in spec.shape[:1] if size > 0) * math.prod(spec.shape[1:]) for spec in binding.outputs
    ]
    if min(sizes, default=0) < 1 or sum(sizes) > MAX_VALUES:
        raise binding.refuse(describe(binding.outputs), WANTED)
    return RegressionDecoder(binding, binding.names(sum(sizes)))


class RegressionDecoder:
    """Turns every number into a real one and names it."""

    def __init__(self, binding: Binding, names: tuple[str, ...]) -> None:
        self._specs = binding.outputs
        self._names = names

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Values:
        """Give the values in the model's order."""
        del inputs, frame
        pairs = zip(self._specs, outputs, strict=True)
        values = np.concatenate([spec.real(tensor).reshape(-1) for spec, tensor in pairs])
        if not np.isfinite(values).all():
            message = "cannot decode the model's values: some are no numbers, expected finite ones"
            raise EngineLostError(
                message, remedy="load the model again; if it stays, the file or the accelerator is at fault"
            )
        return Values(tuple(Value(*pair) for pair in zip(self._names, values.tolist(), strict=True)))
