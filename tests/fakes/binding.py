"""Bindings for decoders under test, with everything that a test does not care about filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edged.domain.bundle import ImageInput, OutputSpec
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import TensorSpec
from edged.pipeline.postprocess.binding import Binding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.domain.bundle import WindowInput

IMAGE = ImageInput(kind="image", width=64, height=64)


def bound(
    outputs: Sequence[TensorSpec],
    *,
    labels: Sequence[str] = (),
    model_input: ImageInput | WindowInput = IMAGE,
    inputs: Sequence[TensorSpec] = (TensorSpec("x", (1, 64, 64, 3), "uint8"),),
    **output: Any,
) -> Binding:
    return Binding(OutputSpec(**output), model_input, tuple(inputs), tuple(outputs), tuple(labels))


def picture(height: int = 64, width: int = 64) -> Frame:
    return Frame(np.zeros((height, width, 3), np.uint8), Stamp(0, 0, 0, 0.0))
