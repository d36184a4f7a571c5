"""A runtime for models that are one NumPy array: the answer is the window times the array, value by value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edged.domain.errors import BundleError
from edged.domain.tensor import Array, TensorSpec


def open_engine(file: Path, *, threads: int, accelerator: str) -> Npy:
    """Load a model. A file that is none is the bundle's fault, and the next best variant is tried."""
    del threads, accelerator
    try:
        weights = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        message = f"cannot load {file.name}: {error}, expected an array as numpy.save writes it"
        raise BundleError(message) from error
    return Npy(weights.astype(np.float32))


class Npy:
    """Holds the array."""

    runtime = "npy"

    def __init__(self, weights: Array) -> None:
        self._weights = weights[np.newaxis]
        self.inputs = (TensorSpec("x", self._weights.shape, "float32"),)
        self.outputs = (TensorSpec("y", self._weights.shape, "float32"),)

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Multiply."""
        return [tensors[0] * self._weights]

    def close(self) -> None:
        """Nothing is held."""
