"""A picture as it is recorded: a JPEG, or a PNG that gives every bit back."""

from __future__ import annotations

import cv2

from edged.domain.errors import FrameError
from edged.domain.tensor import Array

JPEG, PNG = ".jpg", ".png"
JPEG_QUALITY = 92
"""A detector's scores move by 0.003 on average (docs/recording.md has the figures); 95 gives half as many bytes more, and the same
scores."""
PNG_EFFORT = 1
"""zlib's least: two thirds of the time of its usual 3 for a seventh more bytes."""


def encoded(picture: Array, *, lossless: bool) -> tuple[bytes, str]:
    """Encode (H, W, 3) uint8 BGR; gives the bytes and the suffix of their file. Raises FrameError for what is no such picture."""
    suffix = PNG if lossless else JPEG
    how = [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT] if lossless else [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    try:
        _, data = cv2.imencode(suffix, picture, how)
    except cv2.error as error:
        message = (
            f"cannot record a picture of shape {picture.shape} and {picture.dtype}: {error.err}, expected 8-bit BGR"
        )
        raise FrameError(message) from error
    return data.tobytes(), suffix
