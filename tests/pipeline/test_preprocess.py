from __future__ import annotations

import tracemalloc
from typing import Any

import cv2
import numpy as np
import pytest

from edged.domain.bundle import ImageInput
from edged.domain.errors import BundleError, DeviceError
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Array, Quantization, TensorSpec
from edged.pipeline import preprocess
from edged.pipeline.resize import opencv

STAMP = Stamp(0, 0, 0, 0.0)
OPS = opencv()
TENSORS = {
    "plain": TensorSpec("x", (), "uint8"),
    "quantised": TensorSpec("x", (), "int8", Quantization(1 / 64, -3)),
    "float": TensorSpec("x", (), "float32"),
    "half": TensorSpec("x", (), "float16"),
}


def _frame(height: int = 60, width: int = 80) -> Frame:
    noise = np.random.default_rng(7).integers(0, 256, (height, width, 3))
    return Frame(noise.astype(np.uint8), STAMP)


def _image(**changes: Any) -> ImageInput:
    return ImageInput(**{"kind": "image", "width": 32, "height": 24, **changes})


def _spec(tensor: TensorSpec, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(tensor.name, shape, tensor.dtype, tensor.quantization)


def _expected(frame: Frame, image: ImageInput, tensor: TensorSpec) -> Array:
    """Compute (H, W, C) the long way: one plain step after the other, in double precision."""
    picture = cv2.resize(frame.data, (image.width, image.height), interpolation=cv2.INTER_LINEAR)
    if image.color == "grey":
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., np.newaxis]
    elif image.color == "rgb":
        picture = picture[..., ::-1]
    real = (picture.astype(np.float64) - np.array(image.mean)) / np.array(image.std)
    if tensor.dtype.startswith("float"):
        return real.astype(tensor.dtype)
    if tensor.quantization is not None:
        real = np.rint(real / tensor.quantization.scale) + tensor.quantization.zero_point
    limits = np.iinfo(tensor.dtype)
    return np.clip(np.rint(real), limits.min, limits.max).astype(tensor.dtype)


@pytest.mark.parametrize("layout", ["nhwc", "nchw", "flat"])
@pytest.mark.parametrize("color", ["rgb", "bgr", "grey"])
@pytest.mark.parametrize("kind", sorted(TENSORS))
@pytest.mark.parametrize("normal", [((0.0,), (1.0,)), ((128.0,), (64.0,)), ((1.0, 2.0, 3.0), (50.0, 60.0, 70.0))])
def test_every_layout_colour_and_dtype_equals_the_long_way(
    layout: Any, color: Any, kind: str, normal: tuple[tuple[float, ...], tuple[float, ...]]
) -> None:
    mean, std = normal if color != "grey" else (normal[0][:1], normal[1][:1])
    image = _image(color=color, mean=mean, std=std)
    channels = 1 if color == "grey" else 3
    shape = {"nhwc": (1, 24, 32, channels), "nchw": (1, channels, 24, 32), "flat": (1, 24 * 32 * channels)}[layout]
    prepare = preprocess.build(image, _spec(TENSORS[kind], shape), layout, OPS)
    expected = _expected(_frame(), image, TENSORS[kind])
    if layout == "nchw":
        expected = expected.transpose(2, 0, 1)
    for _ in range(2):
        (got,) = prepare(_frame())
        assert got.shape == shape
        assert got.dtype == TENSORS[kind].dtype
        np.testing.assert_array_equal(got, expected.reshape(shape))


@pytest.mark.parametrize(
    ("layout", "color", "shape"),
    [
        ("nhwc", "rgb", (24, 32, 3)),
        ("nchw", "rgb", (3, 24, 32)),
        ("flat", "rgb", (24 * 32 * 3,)),
        ("nhwc", "grey", (1, 24, 32)),
        ("nhwc", "grey", (24, 32)),
        ("nchw", "grey", (24, 32)),
        ("nhwc", "rgb", (-1, 24, 32, 3)),
        ("nchw", "rgb", (-1, 3, -1, -1)),
    ],
)
def test_a_tensor_without_a_batch_or_channel_axis_or_with_open_ones_is_filled(
    layout: Any, color: Any, shape: tuple[int, ...]
) -> None:
    prepare = preprocess.build(_image(color=color), _spec(TENSORS["plain"], shape), layout, OPS)
    (got,) = prepare(_frame())
    assert got.ndim == len(shape)
    assert got.any()


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 24, 33, 3), "nhwc"),
        ((1, 24, 32, 3), "nchw"),
        ((2, 24, 32, 3), "nhwc"),
        ((1, 24, 32, 1), "nhwc"),
        ((), "flat"),
    ],
)
def test_a_tensor_of_another_shape_is_refused_before_anything_runs(shape: tuple[int, ...], layout: Any) -> None:
    with pytest.raises(BundleError, match=r"cannot feed a rgb picture .* expected 1x"):
        preprocess.build(_image(), _spec(TENSORS["plain"], shape), layout, OPS)


def test_a_letterboxed_picture_has_its_pad_around_it() -> None:
    prepare = preprocess.build(_image(fit="letterbox", pad=99), _spec(TENSORS["plain"], (1, 24, 32, 3)), "nhwc", OPS)
    (got,) = prepare(Frame(np.full((10, 100, 3), 200, np.uint8), STAMP))
    rows = got[0, :, 0, 0].tolist()
    assert rows == [99] * 10 + [200] * 3 + [99] * 11


def test_the_pad_is_laid_again_when_the_frames_shape_changes() -> None:
    image = _image(fit="letterbox", align="top-left", pad=0)
    prepare = preprocess.build(image, _spec(TENSORS["plain"], (1, 24, 32, 3)), "nhwc", OPS)
    prepare(Frame(np.full((24, 32, 3), 200, np.uint8), STAMP))
    (got,) = prepare(Frame(np.full((10, 100, 3), 200, np.uint8), STAMP))
    assert got[0, :, 0, 0].tolist() == [200] * 3 + [0] * 21


def test_a_centre_crop_looks_at_the_middle() -> None:
    picture = np.zeros((24, 96, 3), np.uint8)
    picture[:, 32:64] = 255
    prepare = preprocess.build(_image(fit="center-crop"), _spec(TENSORS["plain"], (1, 24, 32, 3)), "nhwc", OPS)
    (got,) = prepare(Frame(picture, STAMP))
    assert (got == 255).all()


def test_area_averaging_runs_on_a_picture_of_at_most_twice_the_size() -> None:
    seen: list[tuple[tuple[int, ...], str]] = []

    def watched(src: Array, dst: Array, interpolation: str) -> None:
        seen.append((src.shape[:2], interpolation))
        OPS.resize(src, dst, interpolation)

    ops = preprocess.PixelOps(watched, OPS.to_rgb, OPS.to_grey, OPS.split, OPS.look_up)
    prepare = preprocess.build(_image(interpolation="area"), _spec(TENSORS["plain"], (1, 24, 32, 3)), "nhwc", ops)
    prepare(_frame(600, 800))
    prepare(_frame(48, 64))
    prepare(_frame(20, 800))
    assert seen == [
        ((600, 800), "nearest"),
        ((48, 64), "area"),
        ((48, 64), "area"),
        ((20, 800), "nearest"),
        ((20, 64), "area"),
    ]


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic", "area"])
def test_interpolation_is_the_one_that_the_bundle_names(interpolation: Any) -> None:
    prepare = preprocess.build(
        _image(interpolation=interpolation, color="bgr"), _spec(TENSORS["plain"], (1, 24, 32, 3)), "nhwc", OPS
    )
    code = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
    frame = _frame(48, 64)
    (got,) = prepare(frame)
    np.testing.assert_array_equal(got[0], cv2.resize(frame.data, (32, 24), interpolation=code[interpolation]))


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused_plainly(picture: Array) -> None:
    prepare = preprocess.build(_image(), _spec(TENSORS["plain"], (1, 24, 32, 3)), "nhwc", OPS)
    with pytest.raises(
        DeviceError, match=r"cannot prepare a picture: its shape is .* expected \(height, width, 3\) uint8"
    ):
        prepare(Frame(picture, STAMP))


def test_pictures_without_a_picture_library_are_refused_with_the_remedy() -> None:
    with pytest.raises(DeviceError, match=r"install edged\[camera\]"):
        preprocess.build(_image(), _spec(TENSORS["plain"], (1, 24, 32, 3)), "nhwc", None)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("tensor", [TENSORS["quantised"], TensorSpec("x", (), "uint8", Quantization(1 / 128, 128))])
def test_a_quantised_tensor_is_filled_without_a_float_picture_in_between(layout: Any, tensor: TensorSpec) -> None:
    image = _image(width=320, height=240, mean=(128.0,), std=(128.0,))
    shape = (1, 240, 320, 3) if layout == "nhwc" else (1, 3, 240, 320)
    frame, float_picture = _frame(480, 640), 240 * 320 * 3 * np.dtype(np.float32).itemsize
    tracemalloc.start()  # NumPy tells it of every array, those that OpenCV makes among them
    try:
        prepare = preprocess.build(image, _spec(tensor, shape), layout, OPS)
        prepare(frame)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < float_picture


def test_the_tensors_memory_is_used_again() -> None:
    prepare = preprocess.build(_image(), _spec(TENSORS["plain"], (1, 24, 32, 3)), "nhwc", OPS)
    assert prepare(_frame())[0] is prepare(_frame())[0]
