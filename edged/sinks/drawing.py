"""A frame for people: what was found is drawn into a copy of it, and the copy made a JPEG."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from edged.domain.result import Classes, Detections, Keypoints, Mask, Output, by_kind
from edged.domain.tensor import Array

COLOURS = ((56, 56, 255), (49, 210, 207), (10, 249, 72), (236, 180, 26), (199, 55, 255), (29, 178, 255))
"""BGR, far from each other and from most scenes."""
ZONE = (230, 200, 90)
FONT = cv2.FONT_HERSHEY_SIMPLEX
QUALITY = 85
SHRINKS: Sequence[tuple[int, int]] = ((1280, 80), (960, 75), (640, 75), (640, 50), (480, 50), (320, 40))
"""Largest width and quality, tried in this order until the picture is small enough."""


def drawn(picture: Array, output: Output | None, zones: Sequence[Sequence[Sequence[float]]] = ()) -> Array:
    """Give a copy of (H, W, 3) uint8 BGR with what was found, and the outlines of zones.

    Boxes and points with their labels, the best class in its corner, masks as a tint. Numbers have no place on a picture.
    """
    copy: Array = picture.copy()
    height, width = copy.shape[:2]
    for zone in zones:
        corners_of = np.array([[round(x * width), round(y * height)] for x, y in zone], np.int32)
        cv2.polylines(copy, [corners_of], True, ZONE, max(1, height // 240))  # noqa: FBT003 - OpenCV's word for closed
    if output is not None:
        _DRAWN[type(output)](copy, output)
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


def _detections(picture: Array, output: Detections) -> None:
    height, width = picture.shape[:2]
    for item in output.items:
        x1, y1, x2, y2 = item.box
        corners = (round(x1 * width), round(y1 * height)), (round(x2 * width), round(y2 * height))
        cv2.rectangle(picture, *corners, _colour(item.label), max(1, height // 240))
        _write(picture, f"{item.label} {item.score:.2f}", corners[0], item.label)


def _classes(picture: Array, output: Classes) -> None:
    for best in output.items[:1]:
        _write(picture, f"{best.label} {best.score:.2f}", (0, 0), best.label)


def _keypoints(picture: Array, output: Keypoints) -> None:
    height, width = picture.shape[:2]
    for point in output.items:
        at = round(point.x * width), round(point.y * height)
        cv2.circle(picture, at, max(2, height // 120), _colour(point.label), cv2.FILLED, cv2.LINE_AA)


def _mask(picture: Array, output: Mask) -> None:
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = (round(at * of) for at, of in zip(output.box, (width, height, width, height), strict=True))
    part = picture[y1:y2, x1:x2]
    for place, segment in enumerate(output.items if part.size else ()):
        told = np.repeat(np.arange(len(segment.runs), dtype=np.uint8) % 2, segment.runs)
        flat = np.zeros(output.width * output.height, np.uint8)
        flat[: len(told)] = told[: len(flat)]
        shape = part.shape[1], part.shape[0]
        is_here = cv2.resize(flat.reshape(output.height, output.width), shape, interpolation=cv2.INTER_NEAREST) > 0
        part[is_here] = part[is_here] // 2 + np.array(_colour(segment.label), np.uint8) // 2
        _write(picture, f"{segment.label} {segment.share:.2f}", (0, (place + 1) * max(16, height // 20)), segment.label)


def _nothing(_picture: Array, _output: Output) -> None:
    """Draw nothing: numbers are no part of a picture."""


_DRAWN: Mapping[type[Output], Callable[[Array, Any], None]] = by_kind(
    detections=_detections, classes=_classes, anomaly=_nothing, keypoints=_keypoints, values=_nothing, mask=_mask
)


def _colour(label: str) -> tuple[int, int, int]:
    return COLOURS[zlib.crc32(label.encode()) % len(COLOURS)]


def _write(picture: Array, text: str, corner: tuple[int, int], label: str) -> None:
    """Write in black on a plate of the label's colour that stands on ``corner``, x and y, moved to where all of it is on the picture."""
    scale = max(0.4, picture.shape[0] / 1000)
    thick = max(1, round(2 * scale))
    (width, height), below = cv2.getTextSize(text, FONT, scale, thick)
    x = max(0, min(corner[0], picture.shape[1] - width))
    y = max(corner[1], height + below + thick)
    cv2.rectangle(picture, (x, y - height - below - thick), (x + width, y), _colour(label), cv2.FILLED)
    cv2.putText(picture, text, (x, y - below), FONT, scale, (0, 0, 0), thick, cv2.LINE_AA)
