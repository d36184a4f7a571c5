"""An engine may give anything: each decoder makes an answer of it that a document can hold, or says that it cannot."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.domain.bundle import ImageInput, WindowInput
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Array, Quantization, TensorSpec
from edged.fleet.documents import output_body
from edged.fleet.topics import MAX_DOCUMENT_BYTES
from edged.pipeline.postprocess import registry
from fakes.binding import IMAGE, bound, picture

FINITE = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 31.7, 1e-45, 3e38, -3e38, 88.8, 1e6)
NASTY = (*FINITE, float("nan"), float("inf"), float("-inf"))
HALVES = Quantization(0.5, 3)
LETTERBOX = ImageInput(kind="image", width=64, height=64, fit="letterbox")
WINDOW = WindowInput(kind="window", length=16, stride=16, channels=1)


@dataclass(frozen=True)
class Case:
    """A decoder with the outputs that it reads."""

    outputs: tuple[TensorSpec, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    model_input: ImageInput | WindowInput = IMAGE
    inputs: tuple[TensorSpec, ...] = (TensorSpec("x", (1, 64, 64, 3), "uint8"),)


def real(*shapes: tuple[int, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(f"y{index}", shape, "float32") for index, shape in enumerate(shapes))


def whole(*shape: int, dtype: str = "int8", quantization: Quantization | None = HALVES) -> tuple[TensorSpec, ...]:
    return (TensorSpec("y", shape, dtype, quantization),)


SSD = tuple(
    TensorSpec(name, shape, "float32")
    for name, shape in (("boxes", (1, 10, 4)), ("classes", (1, 10)), ("scores", (1, 10)), ("count", (1,)))
)
SAMPLES = (TensorSpec("x", (1, 16), "float32"),)
CASES = {
    "boxes": Case(real((1, 20, 2), (1, 20, 4)), {"labels": ("background", "face")}),
    "classification": Case(real((1, 7)), {"activation": "softmax"}),
    "classification int8": Case(whole(1, 7)),
    "fastestdet": Case(real((1, 7, 4, 4)), {"labels": ("a", "b")}),
    "keypoints": Case(real((1, 1, 17, 3)), model_input=LETTERBOX),
    "reconstruction": Case(real((1, 16)), {"threshold": 1.0}, WINDOW, SAMPLES),
    "regression": Case(real((1, 3))),
    "regression int8": Case(whole(1, 3)),
    "segmentation": Case(real((1, 16, 16, 3)), {"labels": ("background", "a", "b")}),
    "segmentation int64": Case(whole(1, 16, 16, dtype="int64", quantization=None), {"labels": ("background", "a")}),
    "ssd": Case(SSD, {"labels": tuple("abcdefgh")}),
    "yolov5": Case(real((1, 30, 7)), {"labels": ("a", "b")}),
    "yolov8": Case(real((1, 6, 30)), {"labels": ("a", "b")}, LETTERBOX),
    "yolov8 int8": Case(whole(1, 6, 30), {"labels": ("a", "b")}),
    "yolox": Case(real((1, 84, 7)), {"labels": ("a", "b")}, LETTERBOX),
}


def filled(spec: TensorSpec, dice: np.random.Generator, *, finite: bool) -> Array:
    if np.dtype(spec.dtype).kind in "iu":
        limits = np.iinfo(spec.dtype)
        values = np.array([limits.min, limits.max, 0, 1, 2, limits.max // 2], spec.dtype)
        return dice.choice(values, spec.shape)
    return dice.choice(np.array(FINITE if finite else NASTY, np.float32), spec.shape)


def test_no_decoder_is_left_out() -> None:
    assert {name.split()[0] for name in CASES} == set(registry.DECODERS)


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), finite=st.booleans())
def test_whatever_an_engine_gives_is_an_answer_that_fits_or_the_engines_fault(
    name: str, seed: int, finite: bool
) -> None:
    case, dice = CASES[name], np.random.default_rng(seed)
    decoder = registry.bind(
        bound(
            case.outputs,
            decoder=name.split(maxsplit=1)[0],
            model_input=case.model_input,
            inputs=case.inputs,
            **case.settings,
        )
    )
    frame = (
        picture()
        if isinstance(case.model_input, ImageInput)
        else Frame(np.zeros((16, 1), np.float32), Stamp(0, 0, 0, 0.0))
    )
    given_in = [np.zeros(spec.shape, spec.dtype) for spec in case.inputs]
    outputs = [filled(spec, dice, finite=finite) for spec in case.outputs]
    try:
        with np.errstate(all="ignore"):  # a number beyond float32 is told by what becomes of it
            answer = decoder.decode(outputs, given_in, frame)
    except (EngineLostError, BundleError):  # a class without a label is the bundle's fault
        return
    told = json.dumps(output_body(answer), allow_nan=False)
    assert len(told) < MAX_DOCUMENT_BYTES
