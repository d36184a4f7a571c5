"""What parts are drawn on: polygons at sixteenths of a pixel, turned to any angle and bent out of shape where asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Points = NDArray[np.float64]
"""(n, 2), x and y."""

_FRACTION_BITS = 4
"""cv2 draws at sixteenths of a pixel."""
_SEGMENTS = 6
"""Into so many pieces each edge is cut before it is bent."""


class Canvas:
    """A square picture with the origin in its middle and a turned frame of axes.

    ``colour`` is (s, s, 3) float32 BGR, ``alpha`` (s, s) float32 0..1.
    """

    def __init__(self, radius: float, angle: float, colour: NDArray[np.float32]) -> None:
        self.half = int(np.ceil(radius)) + 4
        side = 2 * self.half + 1
        self.colour = np.broadcast_to(colour, (side, side, 3)).astype(np.float32).copy()
        self.alpha = np.zeros((side, side), np.float32)
        self.bend: Callable[[Points], Points] | None = None
        self._turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def fill(self, points: Points, opacity: float = 1.0) -> None:
        """Add a polygon to the outline, or cut it out with opacity 0."""
        cv2.fillPoly(self.alpha, [self._placed(points)], opacity, cv2.LINE_AA, _FRACTION_BITS)

    def shade(self, points: Points, gain: float) -> NDArray[np.float32]:
        """Make a polygon brighter or darker; give where it lies, (s, s) float32 0..1."""
        mask = np.zeros_like(self.alpha)
        cv2.fillPoly(mask, [self._placed(points)], 1.0, cv2.LINE_AA, _FRACTION_BITS)
        self.colour *= 1 + (gain - 1) * mask[..., np.newaxis]
        return mask

    def stroke(self, points: Points, width: float) -> None:
        """Add an open line to the outline."""
        look = {"color": 1.0, "thickness": max(1, round(width)), "lineType": cv2.LINE_AA, "shift": _FRACTION_BITS}
        cv2.polylines(self.alpha, [self._placed(points)], isClosed=False, **look)

    def _placed(self, points: Points) -> NDArray[np.int32]:
        if self.bend is not None:
            points = self.bend(_cut_up(points))
        return np.round((points @ self._turn.T + self.half) * (1 << _FRACTION_BITS)).astype(np.int32)


def ellipse(radius: float, flattened: float = 1.0, sides: int = 48, turn: float = 0.0) -> Points:
    """Give a polygon around the origin; with few sides a nut, with many an ellipse."""
    angles = np.arange(sides) * 2 * np.pi / sides + turn
    return np.stack([np.cos(angles) * radius, np.sin(angles) * radius * flattened], axis=1)


def box(x1: float, y1: float, x2: float, y2: float) -> Points:
    """Give a rectangle's corners."""
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _cut_up(points: Points) -> Points:
    shares = np.arange(_SEGMENTS)[np.newaxis, :, np.newaxis] / _SEGMENTS
    ends = np.roll(points, -1, axis=0)
    return (points[:, np.newaxis] * (1 - shares) + ends[:, np.newaxis] * shares).reshape(-1, 2)
