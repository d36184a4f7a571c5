"""The variants that can be made from a float file: one row each, with the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edged.assembly.adapters import adapter
from edged.domain.bundle import Precision
from edged.domain.errors import BundleError

Samples = Sequence[NDArray[np.float32]]


class Quantizer(Protocol):
    """What makes files of one runtime from one float file. Layers are named by their first output tensor."""

    @property
    def runtime(self) -> str:
        """``tflite`` or ``onnx``."""

    @property
    def operators(self) -> tuple[str, ...]:
        """Every operator, in the order in which they run."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Those of them that carry weights."""

    @property
    def others(self) -> tuple[str, ...]:
        """Those that carry none and do not run together with one that does."""

    def errors(self, made: bytes) -> dict[str, float]:
        """Give each layer's noise in a made file, as a share of its signal."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One kind of variant. ``make(quantizer, keep)`` gives the file; ``keep`` names layers that stay float."""

    runtime: str
    precision: Precision
    make: Callable[[Any, Sequence[str]], bytes]

    @property
    def id(self) -> str:
        """The runtime and the precision, as in ``tflite-int8``."""
        return f"{self.runtime}-{self.precision}"


RECIPES = (
    Recipe("tflite", "int8", lambda quantizer, keep: quantizer.int8(keep)),
    Recipe("tflite", "dynamic", lambda quantizer, keep: quantizer.dynamic(keep)),
    Recipe("tflite", "fp16", lambda quantizer, keep: quantizer.fp16(keep)),
    # No dynamic ONNX: its ConvInteger took 3.6 times as long as fp32 where it was measured.
    Recipe("onnx", "int8", lambda quantizer, keep: quantizer.int8(keep)),
    Recipe("onnx", "fp16", lambda quantizer, keep: quantizer.fp16(keep)),
)


def open_quantizer(file: Path, samples: Samples) -> Quantizer:
    """Read a float file, by its ending.

    Args:
        file: ``.tflite`` or ``.onnx`` with one float32 input.
        samples: float32 arrays as the input takes them; for ONNX pictures may lie channels last.

    Raises:
        BundleError: The file is no float model with one input.
        DeviceError: The extra ``workshop`` is not installed.
    """
    made: Quantizer
    if file.suffix == ".tflite":
        made = adapter("edgectl.bundle.tflite_quantizer", "workshop").TfliteQuantizer(file, samples)
    elif file.suffix == ".onnx":
        made = adapter("edgectl.bundle.onnx_quantizer", "workshop").OnnxQuantizer(file, samples)
    else:
        message = f"cannot quantise {file.name}: its ending is {file.suffix!r}, expected .tflite or .onnx"
        raise BundleError(message)
    return made


def make(recipe: Recipe, quantizer: Quantizer, keep: Sequence[str] = ()) -> bytes:
    """Make one variant; the same input gives the same bytes.

    Raises:
        BundleError: The library cannot do it with this file, in its words.
    """
    try:
        return recipe.make(quantizer, keep)
    except BundleError:
        raise
    except (
        Exception
    ) as error:  # the libraries raise whatever they met, and what they cannot do costs this variant, not the others
        words = " ".join(str(error).split())[:200] or type(error).__name__
        message = f"cannot make {recipe.id}: {words}, expected operators that its quantizer knows"
        raise BundleError(message) from error


def tail(quantizer: Quantizer, count: int) -> tuple[str, ...]:
    """Name the last ``count`` layers and every operator after the first of them: what stays float when the end of a network does."""
    if not count:
        return ()
    first = quantizer.operators.index(quantizer.layers[-min(count, len(quantizer.layers))])
    return quantizer.operators[first:]
