"""A frame for people: what was found is drawn into a copy of it, and the copy made a JPEG."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import cv2
import numpy as np

from edged.domain.result import Classes, Detections, Output
from edged.domain.tensor import Array

COLOURS = ((56, 56, 255), (49, 210, 207), (10, 249, 72), (236, 180, 26), (199, 55, 255), (29, 178, 255))
"""BGR, far from each other and from most scenes."""
ZONE = (230, 200, 90)
FONT = cv2.FONT_HERSHEY_SIMPLEX
QUALITY = 85
SHRINKS: Sequence[tuple[int, int]] = ((1280, 80), (960, 75), (640, 75), (640, 50), (480, 50), (320, 40))
"""Largest width and quality, tried in this order until the picture is small enough."""


def drawn(picture: Array, output: Output | None, zones: Sequence[Sequence[Sequence[float]]] = ()) -> Array:
    """Give a copy of (H, W, 3) uint8 BGR with boxes, labels and scores, or the best class in its corner, and the outlines of zones."""
    copy: Array = picture.copy()
    height, width = copy.shape[:2]
    for zone in zones:
        corners_of = np.array([[round(x * width), round(y * height)] for x, y in zone], np.int32)
        cv2.polylines(copy, [corners_of], True, ZONE, max(1, height // 240))  # noqa: FBT003 - OpenCV's word for closed
    scale = max(0.35, height / 1000)
    if isinstance(output, Detections):
        for item in output.items:
            x1, y1, x2, y2 = item.box
            corners = (round(x1 * width), round(y1 * height)), (round(x2 * width), round(y2 * height))
            colour = COLOURS[zlib.crc32(item.label.encode()) % len(COLOURS)]
            cv2.rectangle(copy, *corners, colour, max(1, height // 240))
            at = (corners[0][0], max(round(24 * scale), corners[0][1] - 4))
            _write(copy, f"{item.label} {item.score:.2f}", at, scale, colour)
    elif isinstance(output, Classes) and output.items:
        best = output.items[0]
        _write(copy, f"{best.label} {best.score:.2f}", (6, round(36 * scale)), scale, COLOURS[0])
    return copy


def within(picture: Array, most: int) -> Array:
    """Give the picture, smaller when it is wider than ``most``."""
    height, width = picture.shape[:2]
    if width <= most:
        return picture
    small: Array = cv2.resize(picture, (most, max(1, round(height * most / width))), interpolation=cv2.INTER_AREA)
    return small


def jpeg(picture: Array, quality: int = QUALITY) -> bytes:
    """Encode (H, W, 3) uint8 BGR."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def jpeg_within(picture: Array, max_bytes: int) -> tuple[bytes, int, int] | None:
    """Encode as well as ``max_bytes`` allow; give the data, width and height, or None when even the smallest is too large."""
    for most, quality in SHRINKS:
        height, width = picture.shape[:2]
        factor = min(1.0, most / width)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        small = picture if factor == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        data = jpeg(small, quality)
        if len(data) <= max_bytes:
            return data, *size
    return None


def _write(picture: Array, text: str, at: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    """Write in colour on a dark rim, readable on any ground."""
    thick = max(1, round(2 * scale))
    cv2.putText(picture, text, at, FONT, scale, (0, 0, 0), thick + 2, cv2.LINE_AA)
    cv2.putText(picture, text, at, FONT, scale, colour, thick, cv2.LINE_AA)
