"""OpenCV's part of preprocessing: the one module of the pipeline that touches it, handed in as callables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from edged.pipeline.preprocess import PixelOps

if TYPE_CHECKING:
    from edged.domain.tensor import Array

INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}


def opencv(*, threads: int = 1) -> PixelOps:
    """Give OpenCV's operations, on ``threads`` threads: its own choice is every core, which small pictures waste."""
    cv2.setNumThreads(threads)
    return PixelOps(resize=_resize, to_rgb=_to_rgb, to_grey=_to_grey, split=_split, look_up=_look_up)


def _resize(src: Array, dst: Array, interpolation: str) -> None:
    cv2.resize(src, (dst.shape[1], dst.shape[0]), dst=dst, interpolation=INTERPOLATION[interpolation])


def _to_rgb(src: Array, dst: Array) -> None:
    cv2.cvtColor(src, cv2.COLOR_BGR2RGB, dst=dst)


def _to_grey(src: Array, dst: Array) -> None:
    cv2.cvtColor(src, cv2.COLOR_BGR2GRAY, dst=dst)


def _split(src: Array, planes: list[Array]) -> None:
    cv2.split(src, planes)


def _look_up(src: Array, table: Array, dst: Array) -> None:
    cv2.LUT(src, table, dst=dst)
