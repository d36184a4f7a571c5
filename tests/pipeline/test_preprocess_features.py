from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edged.domain.bundle import WindowInput
from edged.domain.errors import BundleError, ConfigError, FrameError
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline import features, preprocess

WINDOW = np.array([[0.0, 10.0], [2.0, 10.0], [4.0, 10.0], [10.0, 10.0]], np.float32)
WINDOWS = arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(-1e3, 1e3, width=32))


def _frame(values: np.ndarray = WINDOW) -> Frame:
    return Frame(values, Stamp(3, 0, 0, 0.0))


def _input(**changes: Any) -> WindowInput:
    return WindowInput(**{"kind": "window", "length": 4, "stride": 1, "channels": 2, **changes})


def _prepare(window: WindowInput, shape: tuple[int, ...], layout: Any = "flat", **spec: Any) -> np.ndarray:
    (got,) = preprocess.build(window, TensorSpec("x", shape, **{"dtype": "float32", **spec}), layout, None)(_frame())
    return got


def test_detrend_subtracts_each_channels_mean() -> None:
    assert features.detrend(WINDOW).tolist() == [[-4, 0], [-2, 0], [0, 0], [6, 0]]


def test_standardise_divides_by_the_standard_deviation_and_leaves_a_still_channel() -> None:
    got = features.standardise(WINDOW)
    assert got[:, 0].std() == pytest.approx(1.0)
    assert got[:, 1].tolist() == [10, 10, 10, 10]


def test_mad_is_the_median_distance_from_the_median_times_its_factor() -> None:
    assert features.median_absolute_deviation(WINDOW).tolist() == [pytest.approx([2 * 1.4826, 0.0])]


@given(window=WINDOWS)
def test_a_detrended_window_has_no_mean(window: np.ndarray) -> None:
    assert features.detrend(window).mean(axis=0) == pytest.approx(0.0, abs=1e-2)


@given(window=WINDOWS, shift=st.floats(-100, 100, width=32))
def test_mad_does_not_see_an_offset(window: np.ndarray, shift: float) -> None:
    moved = features.median_absolute_deviation(window + np.float32(shift))
    assert moved == pytest.approx(features.median_absolute_deviation(window), abs=1e-2)


@pytest.mark.parametrize("shape", [(1, 8), (8,), (1, 4, 2), (4, 2), (1, 4, 2, 1), (1, 1, 4, 2), (-1, 8)])
def test_a_window_fills_the_tensor_row_by_row(shape: tuple[int, ...]) -> None:
    got = _prepare(_input(), shape)
    assert got.ndim == len(shape)
    assert got.ravel().tolist() == WINDOW.ravel().tolist()


def test_a_planar_tensor_holds_a_channel_after_the_other() -> None:
    assert _prepare(_input(), (1, 2, 4), "nchw").tolist() == [WINDOW.T.tolist()]


def test_mean_and_std_come_after_the_steps() -> None:
    got = _prepare(_input(steps=["detrend"], mean=[1.0, 2.0], std=[2.0, 4.0]), (1, 4, 2))
    assert got[0, :, 0].tolist() == [-2.5, -1.5, -0.5, 2.5]
    assert got[0, :, 1].tolist() == [-0.5, -0.5, -0.5, -0.5]


def test_a_quantised_tensor_gets_integers() -> None:
    got = _prepare(_input(), (1, 8), dtype="int8", quantization=Quantization(0.5, -10))
    assert got.dtype == np.int8
    assert got[0, ::2].tolist() == [-10, -6, -2, 10]


def test_mad_gives_a_number_a_channel() -> None:
    assert _prepare(_input(steps=["mad"]), (1, 2))[0].tolist() == pytest.approx([2.9652, 0.0])


def test_mad_before_another_step_is_refused() -> None:
    with pytest.raises(BundleError, match="mad leaves one number a channel, expected it to be the last step"):
        _prepare(_input(steps=["mad", "detrend"]), (1, 2))


def test_a_tensor_of_another_size_is_refused() -> None:
    with pytest.raises(BundleError, match="cannot feed a window to input 'x': its shape is 1x9, expected 1x8"):
        _prepare(_input(), (1, 9))


@pytest.mark.parametrize(
    ("changes", "told"), [({"mean": [1.0, 2.0, 3.0]}, "mean of 3 numbers, expected 1 or 2"), ({"std": [0.0]}, "std 0")]
)
def test_normalisation_that_does_not_fit_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BundleError, match=told):
        _prepare(_input(**changes), (1, 8))


def test_a_source_with_other_channels_is_the_operators_fault() -> None:
    prepare = preprocess.build(_input(), TensorSpec("x", (1, 8), "float32"), "flat", None)
    with pytest.raises(ConfigError, match=r"shape \(4, 3\) \(samples, channels\), expected \(4, 2\)"):
        prepare(_frame(np.zeros((4, 3), np.float32)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_never_reach_the_model(bad: float) -> None:
    prepare = preprocess.build(_input(), TensorSpec("x", (1, 8), "int8"), "flat", None)
    with pytest.raises(FrameError, match="cannot prepare window 3") as caught:
        prepare(_frame(np.where(WINDOW == 2, np.float32(bad), WINDOW)))
    assert caught.value.code == "samples-invalid"
