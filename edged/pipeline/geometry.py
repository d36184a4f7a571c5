"""Where a frame lies on a model's picture, and the way back from there to fractions of the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edged.domain.bundle import ImageInput


@dataclass(frozen=True, slots=True)
class Placement:
    """One frame size on one model picture, both in pixels.

    The part of the frame at ``crop_x, crop_y`` of ``crop_width`` by ``crop_height`` is resized to ``width`` by
    ``height`` and lies at ``x, y`` of the model's picture. ``frame_width`` and ``frame_height`` are the whole frame's.
    """

    frame_width: int
    frame_height: int
    crop_x: int
    crop_y: int
    crop_width: int
    crop_height: int
    x: int
    y: int
    width: int
    height: int

    def fractions(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes from the model's picture back to the frame.

        Args:
            boxes: (n, 4) of x1, y1, x2, y2 in pixels of the model's picture.

        Returns:
            (n, 4) of x1, y1, x2, y2 as fractions of the original frame, cut to 0..1.
        """
        x_scale = self.crop_width / self.width / self.frame_width
        y_scale = self.crop_height / self.height / self.frame_height
        x_shift = self.crop_x / self.frame_width - self.x * x_scale
        y_shift = self.crop_y / self.frame_height - self.y * y_scale
        scale = np.array((x_scale, y_scale, x_scale, y_scale), np.float32)
        shift = np.array((x_shift, y_shift, x_shift, y_shift), np.float32)
        cut: NDArray[np.float32] = np.clip(boxes * scale + shift, 0.0, 1.0)
        return cut


def place(image: ImageInput, frame_shape: tuple[int, ...]) -> Placement:
    """Say where a frame of ``frame_shape`` (H, W, ...) lies on the picture that ``image`` asks for."""
    height, width = frame_shape[0], frame_shape[1]
    if image.fit == "letterbox":
        return _letterboxed(image, width, height)
    if image.fit == "center-crop":
        return _cropped(image, width, height)
    return Placement(width, height, 0, 0, width, height, 0, 0, image.width, image.height)


def _letterboxed(image: ImageInput, width: int, height: int) -> Placement:
    ratio = min(image.width / width, image.height / height)
    inner_width = min(image.width, max(1, round(width * ratio)))
    inner_height = min(image.height, max(1, round(height * ratio)))
    centered = image.align == "center"
    x = (image.width - inner_width) // 2 if centered else 0
    y = (image.height - inner_height) // 2 if centered else 0
    return Placement(width, height, 0, 0, width, height, x, y, inner_width, inner_height)


def _cropped(image: ImageInput, width: int, height: int) -> Placement:
    """Take the largest part of the frame, around its middle, that has the picture's proportions."""
    ratio = max(image.width / width, image.height / height)
    crop_width = min(width, max(1, round(image.width / ratio)))
    crop_height = min(height, max(1, round(image.height / ratio)))
    x, y = (width - crop_width) // 2, (height - crop_height) // 2
    return Placement(width, height, x, y, crop_width, crop_height, 0, 0, image.width, image.height)
