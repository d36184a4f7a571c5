"""From a frame to the model's tensor: placed, resized, coloured, and written in the tensor's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edged.domain.bundle import ImageInput, WindowInput
from edged.domain.errors import DeviceError
from edged.domain.frame import Frame
from edged.domain.tensor import Array, TensorSpec
from edged.pipeline import features
from edged.pipeline.encode import fitting_shape, tables
from edged.pipeline.geometry import Placement, place

Layout = Literal["nhwc", "nchw", "flat"]
Preprocess = Callable[[Frame], tuple[Array]]
"""Gives the engine's one input. Its memory is used again at the next call: be done with it before that, or copy."""
COLOUR_CHANNELS = 3
AREA_FACTOR = 2
"""Area averaging takes 9 to 14 ms on a 1080p frame, and 1.6 ms on a nearest-neighbour picture of twice the size."""


@dataclass(frozen=True, slots=True)
class PixelOps:
    """What preprocessing asks of a picture library. Each writes into ``dst``, which has its final shape and dtype.

    ``resize(src, dst, interpolation)``; ``to_rgb(src, dst)`` and ``to_grey(src, dst)`` from BGR; ``split(src, planes)``
    into (H, W) planes; ``look_up(src, table, dst)``, where ``table`` is (256,) for all channels or (1, 256, channels).
    """

    resize: Callable[[Array, Array, str], None]
    to_rgb: Callable[[Array, Array], None]
    to_grey: Callable[[Array, Array], None]
    split: Callable[[Array, list[Array]], None]
    look_up: Callable[[Array, Array, Array], None]


def build(
    model_input: ImageInput | WindowInput, tensor: TensorSpec, layout: Layout, ops: PixelOps | None
) -> Preprocess:
    """Compile the way from a frame to ``tensor``. ``ops`` may be None for windows.

    Raises:
        BundleError: The file's tensor does not take what the bundle describes.
    """
    if isinstance(model_input, WindowInput):
        return features.build(model_input, tensor, layout)
    if ops is None:
        message = "cannot prepare pictures: no picture library was loaded, expected OpenCV"
        raise DeviceError(message, remedy="install edged[camera]")
    return _ImagePath(model_input, tensor, layout, ops)


class _ImagePath:
    """Placed picture → colour → table. Steps that change nothing are left out; the last one writes into the tensor."""

    def __init__(self, image: ImageInput, tensor: TensorSpec, layout: Layout, ops: PixelOps) -> None:
        channels = 1 if image.color == "grey" else COLOUR_CHANNELS
        shape = fitting_shape(tensor, _shapes(image, layout, channels), f"a {image.color} picture ({layout})")
        self._image = image
        self._ops = ops
        self._out = (np.zeros(shape, tensor.dtype),)
        self._canvas = np.full((image.height, image.width, COLOUR_CHANNELS), image.pad, np.uint8)
        self._placement: Placement | None = None
        self._frame_shape: tuple[int, ...] = ()
        self._target = self._canvas
        self._half: Array | None = None
        table = tables(image.mean, image.std, channels, tensor)
        self._finish = (
            _planar(image, self._out[0], table, ops)
            if layout == "nchw"
            else _interleaved(image, self._out[0], table, ops)
        )

    def __call__(self, frame: Frame) -> tuple[Array]:
        """Give the tensor for ``frame``; its memory is used again at the next call."""
        picture = frame.data
        if picture.shape != self._frame_shape:
            self._fit_to(picture)
        at = self._placement
        if at is not None:
            picture = picture[at.crop_y : at.crop_y + at.crop_height, at.crop_x : at.crop_x + at.crop_width]
        interpolation = self._image.interpolation
        if self._half is not None:
            self._ops.resize(picture, self._half, "nearest")
            picture = self._half
        self._ops.resize(picture, self._target, interpolation)
        self._finish(self._canvas)
        return self._out

    def _fit_to(self, picture: Array) -> None:
        """Lay out the canvas for frames of this shape: once, as a source's frames keep theirs."""
        if (
            picture.ndim != COLOUR_CHANNELS
            or picture.shape[2] != COLOUR_CHANNELS
            or picture.dtype != np.uint8
            or not picture.size
        ):
            seen = f"its shape is {picture.shape} and its dtype {picture.dtype}"
            message = f"cannot prepare a picture: {seen}, expected (height, width, 3) uint8"
            raise DeviceError(message)
        at = place(self._image, picture.shape)
        self._canvas[:] = self._image.pad
        self._target = self._canvas[at.y : at.y + at.height, at.x : at.x + at.width]
        cropped = (at.crop_width, at.crop_height) != (at.frame_width, at.frame_height)
        self._placement = at if cropped else None
        self._half = _halfway(at) if self._image.interpolation == "area" else None
        self._frame_shape = picture.shape


def _halfway(at: Placement) -> Array | None:
    """Give the picture between nearest-neighbour and area averaging, or None where averaging alone is cheap."""
    width, height = at.width * AREA_FACTOR, at.height * AREA_FACTOR
    if at.crop_width <= width and at.crop_height <= height:
        return None
    return np.zeros((min(height, at.crop_height), min(width, at.crop_width), COLOUR_CHANNELS), np.uint8)


def _shapes(image: ImageInput, layout: Layout, channels: int) -> list[tuple[int, ...]]:
    """List the tensor shapes that hold the picture, with and without a batch axis; the usual one first."""
    height, width = image.height, image.width
    if layout == "flat":
        bare: list[tuple[int, ...]] = [(height * width * channels,)]
    elif layout == "nchw":
        bare = [(channels, height, width)]
    else:
        bare = [(height, width, channels)]
    if channels == 1 and layout != "flat":
        bare.append((height, width))
    return [shape for core in bare for shape in ((1, *core), core)]


def _is_identity(table: Array) -> bool:
    return bool(table.dtype == np.uint8 and (table == np.arange(table.shape[1], dtype=np.uint8)).all())


def _interleaved(image: ImageInput, out: Array, table: Array, ops: PixelOps) -> Callable[[Array], None]:
    """Colour, then table, channels last."""
    channels = table.shape[0]
    target = out.reshape(image.height, image.width, channels)
    colour = {"rgb": ops.to_rgb, "grey": ops.to_grey}.get(image.color)
    if _is_identity(table):
        return lambda canvas: (colour or _copy)(canvas, target)
    same = bool((table == table[0]).all())
    folded = np.ascontiguousarray(table[0] if same else table.T[np.newaxis])
    if colour is None:
        return lambda canvas: ops.look_up(canvas, folded, target)
    coloured = np.zeros((image.height, image.width, channels), np.uint8)

    def finish(canvas: Array) -> None:
        colour(canvas, coloured)
        ops.look_up(coloured, folded, target)

    return finish


def _planar(image: ImageInput, out: Array, table: Array, ops: PixelOps) -> Callable[[Array], None]:
    """Split into planes and write each through its table: the order of the planes is the colour conversion."""
    if image.color == "grey":
        return _interleaved(image, out, table, ops)
    targets = list(out.reshape(COLOUR_CHANNELS, image.height, image.width))
    if image.color == "rgb":
        targets.reverse()
        table = table[::-1]
    if _is_identity(table):
        return lambda canvas: ops.split(canvas, targets)
    planes = [np.zeros((image.height, image.width), np.uint8) for _ in targets]
    rows = [np.ascontiguousarray(row) for row in table]

    def finish(canvas: Array) -> None:
        ops.split(canvas, planes)
        for plane, row, target in zip(planes, rows, targets, strict=True):
            ops.look_up(plane, row, target)

    return finish


def _copy(src: Array, dst: Array) -> None:
    np.copyto(dst, src)
