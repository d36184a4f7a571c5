"""How real values become a tensor's own integers or floats, and which shapes of tensor a bundle's input fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.domain.errors import BundleError
from edged.domain.tensor import FREE, Array, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DTYPES = frozenset({"uint8", "int8", "uint16", "int16", "float16", "float32"})
"""What a picture or window can be written as: both runtimes take these, and OpenCV's look-up gives them."""
BYTE_VALUES = 256


def encode(values: Array, tensor: TensorSpec) -> Array:
    """Write real values as ``tensor`` holds them, rounded and cut to its range when that is of integers.

    The formula is ONNX's ``QuantizeLinear``: ``integer = round(real / scale) + zero_point``, ties to even; TFLite's is
    the same but for ties. A tensor of integers without a scale takes the values themselves.
    """
    wanted = np.dtype(tensor.dtype)
    if wanted.kind == "f":
        return values.astype(wanted)
    limits = np.iinfo(wanted)
    steps = np.asarray(values, np.float64)
    zero_point = 0
    if tensor.quantization is not None:
        steps = steps / tensor.quantization.scale
        zero_point = tensor.quantization.zero_point
    whole: Array = np.clip(np.rint(steps) + zero_point, limits.min, limits.max).astype(wanted)
    return whole


def tables(mean: Sequence[float], std: Sequence[float], channels: int, tensor: TensorSpec) -> Array:
    """Fold normalisation and quantisation of a byte into a table.

    Returns:
        (channels, 256) of the tensor's dtype: row c holds what channel c's byte values become.
    """
    row = np.arange(BYTE_VALUES, dtype=np.float64)
    means = np.broadcast_to(np.asarray(mean, np.float64), (channels,))[:, None]
    stds = np.broadcast_to(np.asarray(std, np.float64), (channels,))[:, None]
    return encode((row - means) / stds, tensor)


def fitting_shape(tensor: TensorSpec, wanted: Iterable[tuple[int, ...]], what: str) -> tuple[int, ...]:
    """Give the first of the ``wanted`` shapes that the tensor takes.

    Raises:
        BundleError: It takes none of them, or no dtype that a ``what`` can be written as.
    """
    shapes = tuple(wanted)
    if tensor.dtype not in DTYPES:
        known = ", ".join(sorted(DTYPES))
        message = f"cannot feed {what} to input {tensor.name!r}: its dtype is {tensor.dtype}, expected one of {known}"
        raise BundleError(message)
    for shape in shapes:
        if len(shape) == len(tensor.shape) and all(
            has in {want, FREE} for has, want in zip(tensor.shape, shape, strict=True)
        ):
            return shape
    seen = f"its shape is {_words(tensor.shape)}"
    message = f"cannot feed {what} to input {tensor.name!r}: {seen}, expected {_words(shapes[0])}"
    raise BundleError(message, remedy="set the bundle's [input] and the variant's layout to what the file takes")


def _words(shape: tuple[int, ...]) -> str:
    return "x".join("?" if size == FREE else str(size) for size in shape) or "a single number"
