"""Washers, nuts and bolts, and what lies about on a belt beside them, each a small picture with its outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Draw = Callable[["Canvas", float, np.random.Generator], None]

LABELS = ("washer", "nut", "bolt")

_FINISHES_BGR = ((182, 180, 176), (150, 152, 155), (110, 185, 205), (82, 150, 180), (62, 60, 60), (205, 205, 205))
"""Zinc, bare steel, yellow zinc, brass, black oxide, polished."""
_DIRT_BGR = ((40, 60, 80), (70, 110, 150), (225, 225, 220), (50, 50, 52), (160, 160, 165), (60, 120, 60))
_FRACTION_BITS = 4
"""cv2 draws at sixteenths of a pixel."""


@dataclass(frozen=True, slots=True)
class Item:
    """A thing on the belt: ``colour`` (s, s, 3) float32 BGR 0..255, ``alpha`` (s, s) float32 0..1, centred."""

    label: str
    colour: NDArray[np.float32]
    alpha: NDArray[np.float32]


class Canvas:
    """A square picture with the origin in its middle and a turned frame of axes."""

    def __init__(self, radius: float, angle: float, colour: NDArray[np.float32]) -> None:
        self.half = int(np.ceil(radius)) + 4
        side = 2 * self.half + 1
        self.colour = np.broadcast_to(colour, (side, side, 3)).astype(np.float32).copy()
        self.alpha = np.zeros((side, side), np.float32)
        self._turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def fill(self, points: NDArray[np.float64], opacity: float = 1.0) -> None:
        """Add a polygon (n, 2) to the outline, or cut it out with opacity 0."""
        cv2.fillPoly(self.alpha, [self._placed(points)], opacity, cv2.LINE_AA, _FRACTION_BITS)

    def shade(self, points: NDArray[np.float64], gain: float) -> None:
        """Make a polygon (n, 2) brighter or darker."""
        mask = np.zeros_like(self.alpha)
        cv2.fillPoly(mask, [self._placed(points)], 1.0, cv2.LINE_AA, _FRACTION_BITS)
        self.colour *= 1 + (gain - 1) * mask[..., np.newaxis]

    def stroke(self, points: NDArray[np.float64], width: float) -> None:
        """Add an open line (n, 2) to the outline."""
        look = {"color": 1.0, "thickness": max(1, round(width)), "lineType": cv2.LINE_AA, "shift": _FRACTION_BITS}
        cv2.polylines(self.alpha, [self._placed(points)], isClosed=False, **look)

    def _placed(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.round((points @ self._turn.T + self.half) * (1 << _FRACTION_BITS)).astype(np.int32)


def part(label: str, scale: float, light: float, random: np.random.Generator) -> Item:
    """Draw a washer, nut or bolt; ``light`` is where light comes from, in radians."""
    draw, radius = _PARTS[label]
    size = radius * scale * random.uniform(0.8, 1.2)
    canvas = _canvas(size, random, _FINISHES_BGR)
    draw(canvas, size, random)
    return _lit(label, canvas, light, random)


def clutter(scale: float, light: float, random: np.random.Generator) -> Item:
    """Draw something that is none of them; its label is empty."""
    size = random.uniform(8, 40) * scale
    canvas = _canvas(size, random, _DIRT_BGR)
    _CLUTTER[random.integers(len(_CLUTTER))](canvas, size, random)
    return _lit("", canvas, light, random)


def _canvas(size: float, random: np.random.Generator, palette: tuple[tuple[int, int, int], ...]) -> Canvas:
    colour = np.array(palette[random.integers(len(palette))]) * random.uniform(0.85, 1.15)
    return Canvas(size, random.uniform(0, 2 * np.pi), np.clip(colour, 0, 255).astype(np.float32))


def _lit(label: str, canvas: Canvas, light: float, random: np.random.Generator) -> Item:
    """Brighten the edges that face the light, darken the others, and add a soft gleam and the grain of the metal."""
    soft = cv2.GaussianBlur(canvas.alpha, (0, 0), 1.6)
    facing = cv2.Sobel(soft, cv2.CV_32F, 1, 0) * np.cos(light) + cv2.Sobel(soft, cv2.CV_32F, 0, 1) * np.sin(light)
    ramp = np.linspace(-1, 1, len(soft), dtype=np.float32)
    gleam = ramp[np.newaxis, :] * np.cos(light) + ramp[:, np.newaxis] * np.sin(light)
    gain = 1 - random.uniform(0.15, 0.5) * facing - random.uniform(0.0, 0.3) * gleam
    gain += random.normal(0, random.uniform(0.0, 0.05), soft.shape)
    return Item(label, np.clip(canvas.colour * gain[..., np.newaxis], 0, 255).astype(np.float32), canvas.alpha)


def _ellipse(radius: float, flattened: float = 1.0, sides: int = 48, turn: float = 0.0) -> NDArray[np.float64]:
    angles = np.arange(sides) * 2 * np.pi / sides + turn
    return np.stack([np.cos(angles) * radius, np.sin(angles) * radius * flattened], axis=1)


def _box(x1: float, y1: float, x2: float, y2: float) -> NDArray[np.float64]:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _washer(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    flattened = random.uniform(0.9, 1.0)
    canvas.fill(_ellipse(size, flattened))
    canvas.fill(_ellipse(size * random.uniform(0.45, 0.6), flattened), 0.0)


def _nut(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    flattened = random.uniform(0.9, 1.0)
    hole = size * random.uniform(0.40, 0.50)
    canvas.fill(_ellipse(size, flattened, sides=6))
    canvas.shade(_ellipse(size, flattened, sides=6), random.uniform(0.75, 0.9))
    canvas.shade(_ellipse(size * 0.86, flattened), random.uniform(1.15, 1.35))
    canvas.shade(_ellipse(hole * 1.1, flattened), random.uniform(0.2, 0.4))
    canvas.fill(_ellipse(hole, flattened), random.uniform(0.3, 0.7))  # as deep as it is wide: hardly any light gets in


def _bolt(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    shank = size * random.uniform(0.15, 0.2)
    head, head_end = shank * random.uniform(1.7, 2.0), -size + size * random.uniform(0.26, 0.36)
    canvas.fill(_box(head_end - 1, -shank, size * 0.96, shank))
    canvas.fill(_box(size * 0.9, -shank * 0.7, size, shank * 0.7))
    canvas.fill(_box(-size, -head, head_end, head))
    for band, gain in ((1.0, 0.8), (0.55, 1.3)):
        canvas.shade(_box(head_end, -shank * band, size, shank * band), gain)
    canvas.shade(_box(-size, -head, head_end, -head * 0.5), 0.75)
    canvas.shade(_box(-size, head * 0.5, head_end, head), 0.85)
    thread_start = head_end + (size - head_end) * random.uniform(0.1, 0.5)
    for x in np.arange(thread_start, size, 3.5):
        canvas.shade(_box(x, -shank, x + 1.5, shank), 0.6)


def _disc(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    canvas.fill(_ellipse(size * 0.7, random.uniform(0.8, 1.0)))


def _strip(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    half = size * random.uniform(0.05, 0.2)
    canvas.fill(_box(-size, -half, size, half))


def _label(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    half = size * random.uniform(0.3, 0.7)
    canvas.fill(_box(-size * 0.7, -half, size * 0.7, half))
    for y in np.arange(-half * 0.7, half * 0.7, 6.0):
        canvas.shade(_box(-size * 0.55, y, size * random.uniform(0, 0.55), y + 2), 0.4)


def _shred(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    angles = np.linspace(0, random.uniform(2, 6), 24)
    canvas.stroke(_spiral(angles, size), random.uniform(1, 3))


def _spiral(angles: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    radius = size * (0.3 + 0.7 * angles / angles[-1])
    return np.stack([np.cos(angles) * radius, np.sin(angles) * radius], axis=1)


def _stain(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    canvas.fill(_ellipse(size * 0.7, sides=12) * random.uniform(0.6, 1.2, (12, 1)), random.uniform(0.3, 1.0))


_PARTS: dict[str, tuple[Draw, float]] = {"washer": (_washer, 30.0), "nut": (_nut, 29.0), "bolt": (_bolt, 50.0)}
_CLUTTER: tuple[Draw, ...] = (_disc, _strip, _label, _shred, _stain)
