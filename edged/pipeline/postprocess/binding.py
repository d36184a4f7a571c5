"""What a decoder is bound to: one engine's tensors, the bundle's words about them, and the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edged.domain.bundle import ImageInput, OutputSpec, WindowInput
from edged.domain.errors import BundleError, EngineLostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.domain.tensor import Array, TensorSpec

COMMON_KEYS = frozenset({"decoder", "labels"})


@dataclass(frozen=True, slots=True)
class Binding:
    """``labels`` is empty where the bundle names none: classes are then called by their number."""

    output: OutputSpec
    model_input: ImageInput | WindowInput
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]

    def image(self) -> ImageInput:
        """Give the picture that the model looks at.

        Raises:
            BundleError: The model takes windows of samples.
        """
        if isinstance(self.model_input, ImageInput):
            return self.model_input
        message = f"cannot decode with {self.output.decoder!r}: the bundle's input is a window, expected an image"
        raise BundleError(message)

    def only_keys(self, *used: str) -> None:
        """Refuse keys of ``[output]`` that this decoder does not look at: whoever wrote them expects them to count."""
        unused = sorted(self.output.model_fields_set - COMMON_KEYS - set(used))
        if unused:
            message = f"cannot use {', '.join(unused)} in [output]: decoder {self.output.decoder!r} does not look at it"
            raise BundleError(message, remedy="remove the key")

    def refuse(self, observed: str, expected: str) -> BundleError:
        """Build the error for tensors that this decoder cannot read."""
        message = f"cannot decode with {self.output.decoder!r}: {observed}, expected {expected}"
        return BundleError(message, remedy="name the decoder that this model's outputs are made for")

    def names(self, count: int) -> tuple[str, ...]:
        """Give a name for each of ``count`` classes.

        Raises:
            BundleError: There are labels, but not that many.
        """
        if not self.labels:
            return tuple(str(number) for number in range(count))
        if len(self.labels) != count:
            seen = f"the label file holds {len(self.labels)} lines"
            message = f"cannot name the model's {count} classes: {seen}, expected {count}"
            raise BundleError(message, remedy="give the label file that the model was trained with")
        return self.labels


def describe(outputs: Sequence[TensorSpec]) -> str:
    """Put a model's outputs into words, for errors."""
    words = (f"{spec.name} {'x'.join(map(str, spec.shape))} {spec.dtype}" for spec in outputs)
    return f"the model gives {'; '.join(words) or 'nothing'}"


def require_finite(values: Array, name: str) -> None:
    """Raise EngineLostError when float values hold NaN or infinity; integers always pass.

    The maximum carries a NaN through and costs a tenth of a pass with ``isfinite``.
    """
    if values.dtype.kind != "f" or not values.size:
        return
    if not np.isfinite(values.max()):
        message = f"cannot decode output {name!r}: it holds values that are no numbers, expected finite ones"
        raise EngineLostError(
            message, remedy="load the model again; if it stays, the file or the accelerator is at fault"
        )
