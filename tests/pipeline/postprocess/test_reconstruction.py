from __future__ import annotations

import numpy as np
import pytest

from edged.domain.errors import BundleError, EngineLostError
from edged.domain.result import Anomaly
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline.postprocess import reconstruction
from fakes.binding import bound, picture

GIVEN = TensorSpec("x", (1, 4), "float32")


def _decode(given: TensorSpec, back: TensorSpec, x: np.ndarray, y: np.ndarray) -> Anomaly:
    decoder = reconstruction.bind(bound([back], inputs=[given], decoder="reconstruction", threshold=0.5))
    return decoder.decode([y], [x], picture())


def test_the_score_is_the_mean_squared_error() -> None:
    x, y = np.array([[0, 1, 2, 3]], np.float32), np.array([[0, 1, 2, 1]], np.float32)
    got = _decode(GIVEN, TensorSpec("y", (1, 4), "float32"), x, y)
    assert got == Anomaly(1.0, 0.5)
    assert got.is_anomaly


def test_integers_of_different_scales_are_compared_as_real_values() -> None:
    given = TensorSpec("x", (1, 2), "int8", Quantization(0.5, 10))
    back = TensorSpec("y", (1, 2, 1), "uint8", Quantization(0.25, 0))
    got = _decode(given, back, np.array([[12, 14]], np.int8), np.array([[[4], [12]]], np.uint8))
    assert got == Anomaly(0.5, 0.5)
    assert not got.is_anomaly


def test_a_score_that_is_no_number_is_a_failure() -> None:
    with pytest.raises(EngineLostError, match="the score is nan"):
        _decode(GIVEN, GIVEN, np.zeros((1, 4), np.float32), np.full((1, 4), np.nan, np.float32))


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([GIVEN], [TensorSpec("y", (1, 5), "float32")]),
        ([GIVEN], [GIVEN, GIVEN]),
        ([GIVEN, GIVEN], [GIVEN]),
    ],
)
def test_an_output_that_does_not_mirror_the_input_is_refused(
    inputs: list[TensorSpec], outputs: list[TensorSpec]
) -> None:
    with pytest.raises(BundleError, match="expected one output of the shape of the one input"):
        reconstruction.bind(bound(outputs, inputs=inputs, decoder="reconstruction", threshold=1.0))


def test_a_bundle_without_a_threshold_is_refused() -> None:
    with pytest.raises(BundleError, match=r"\[output\] names no threshold"):
        reconstruction.bind(bound([GIVEN], inputs=[GIVEN], decoder="reconstruction"))


def test_keys_of_other_decoders_are_refused() -> None:
    with pytest.raises(BundleError, match="cannot use min_score"):
        reconstruction.bind(bound([GIVEN], inputs=[GIVEN], decoder="reconstruction", threshold=1.0, min_score=0.5))
