from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import BundleError
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline.encode import encode, fitting_shape, tables

LIMITS = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-32768, 32767), "uint16": (0, 65535)}


@given(
    dtype=st.sampled_from(sorted(LIMITS)),
    scale=st.floats(1e-4, 10.0),
    shift=st.floats(0, 1),
    integers=st.lists(st.floats(0, 1), min_size=1, max_size=32),
)
def test_integers_survive_the_way_to_real_values_and_back(
    dtype: str, scale: float, shift: float, integers: list[float]
) -> None:
    low, high = LIMITS[dtype]
    spec = TensorSpec("t", (len(integers),), dtype, Quantization(scale, int(low + shift * (high - low))))
    stored = np.array([low + part * (high - low) for part in integers]).astype(dtype)
    assert encode(spec.real(stored), spec).tolist() == stored.tolist()


@given(
    dtype=st.sampled_from(["uint8", "int8"]),
    scale=st.floats(1e-3, 10.0),
    part=st.floats(0, 1),
    shift=st.floats(0, 1),
)
def test_a_real_value_in_range_comes_back_within_half_a_step(
    dtype: str, scale: float, part: float, shift: float
) -> None:
    low, high = LIMITS[dtype]
    zero_point = int(low + shift * (high - low))
    real = (low - zero_point + part * (high - low)) * scale
    spec = TensorSpec("t", (1,), dtype, Quantization(scale, zero_point))
    assert spec.real(encode(np.array([real]), spec))[0] == pytest.approx(real, abs=scale * 0.5001 + 1e-4)


def test_values_out_of_range_stop_at_its_ends() -> None:
    spec = TensorSpec("t", (2,), "int8", Quantization(0.5, 3))
    assert encode(np.array([-1e9, 1e9]), spec).tolist() == [-128, 127]


def test_integers_without_a_scale_take_the_values_themselves() -> None:
    assert encode(np.array([0.4, 200.6, 300.0]), TensorSpec("t", (3,), "uint8")).tolist() == [0, 201, 255]


@pytest.mark.parametrize(
    ("mean", "std", "spec", "expected"),
    [
        ((128.0,), (128.0,), TensorSpec("t", (), "uint8", Quantization(0.0078125, 128)), [0, 1, 128, 255]),
        ((0.0,), (255.0,), TensorSpec("t", (), "int8", Quantization(1 / 255, -128)), [-128, -127, 0, 127]),
        ((0.0,), (1.0,), TensorSpec("t", (), "uint8"), [0, 1, 128, 255]),
        ((127.5,), (127.5,), TensorSpec("t", (), "float32"), [-1.0, 1 / 127.5 - 1, 128 / 127.5 - 1, 1.0]),
    ],
)
def test_a_table_folds_normalisation_and_quantisation(
    mean: tuple[float, ...], std: tuple[float, ...], spec: TensorSpec, expected: list[float]
) -> None:
    table = tables(mean, std, 1, spec)
    assert table.dtype == spec.dtype
    assert table[0, [0, 1, 128, 255]].tolist() == pytest.approx(expected, abs=1e-6)


def test_each_channel_has_its_own_row() -> None:
    table = tables((0.0, 1.0, 2.0), (1.0,), 3, TensorSpec("t", (), "float32"))
    assert table[:, 10].tolist() == [10.0, 9.0, 8.0]


def test_the_first_shape_that_fits_is_taken_and_a_free_axis_fits_all() -> None:
    assert fitting_shape(TensorSpec("t", (-1, 4), "float32"), [(2, 2), (1, 4)], "it") == (1, 4)
    assert fitting_shape(TensorSpec("t", (4,), "float32"), [(1, 4), (4,)], "it") == (4,)


def test_a_shape_that_does_not_fit_is_refused_with_both() -> None:
    with pytest.raises(BundleError, match=r"cannot feed a picture to input 't': its shape is \?x5, expected 1x4"):
        fitting_shape(TensorSpec("t", (-1, 5), "float32"), [(1, 4)], "a picture")


def test_a_scalar_tensor_is_refused() -> None:
    with pytest.raises(BundleError, match="its shape is a single number"):
        fitting_shape(TensorSpec("t", (), "float32"), [(1, 4)], "a picture")


def test_a_dtype_that_no_picture_can_be_is_refused() -> None:
    with pytest.raises(BundleError, match="its dtype is int64, expected one of float16, float32, int16"):
        fitting_shape(TensorSpec("t", (1, 4), "int64"), [(1, 4)], "a picture")
