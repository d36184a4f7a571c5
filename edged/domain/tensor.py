"""What a tensor looks like at an engine's edge, and how its integers stand for real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FREE = -1
"""A dimension that the model leaves open (a batch axis, mostly)."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantisation of a whole tensor: ``real = scale * (integer - zero_point)``.

    The formula is the one of the TFLite quantisation specification and of ONNX's ``DequantizeLinear``.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        """Refuse a scale that would map every integer to the same number."""
        if not self.scale > 0:
            message = f"cannot use quantisation scale {self.scale}, expected a number above 0"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model file: name, shape (``-1`` is free), NumPy dtype name, quantisation.

    ``meaning`` is set where the file itself tells what the tensor stands for (``boxes``, ``classes``, ``scores`` or ``count`` of a
    post-processing operator), whatever its name and place.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    meaning: str = ""

    def real(self, tensor: Array) -> NDArray[np.float32]:
        """Turn what the engine gave for this tensor into float32 real values of the same shape."""
        if self.quantization is None:
            return tensor.astype(np.float32, copy=False)
        shifted = tensor.astype(np.float32) - np.float32(self.quantization.zero_point)
        real: NDArray[np.float32] = shifted * np.float32(self.quantization.scale)
        return real
