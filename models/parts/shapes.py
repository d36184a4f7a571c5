"""Washers, nuts and bolts, sound or faulty, and what lies about on a belt beside them, each a small picture with its outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.parts import faults
from models.parts.canvas import Canvas, box, ellipse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.parts.canvas import Points

    Draw = Callable[[Canvas, float, np.random.Generator], None]

KINDS = ("washer", "nut", "bolt")
FAULTS = ("scratched", "bent")
LABELS = (*KINDS, *FAULTS)
"""A faulty part is labelled by its fault in place of its kind: one box a part, and one word for a rule to wait for."""

_FINISHES_BGR = ((182, 180, 176), (150, 152, 155), (110, 185, 205), (82, 150, 180), (62, 60, 60), (205, 205, 205))
"""Zinc, bare steel, yellow zinc, brass, black oxide, polished."""
_DIRT_BGR = ((40, 60, 80), (70, 110, 150), (225, 225, 220), (50, 50, 52), (160, 160, 165), (60, 120, 60))
_ROOM = 1.15
"""A bent bolt reaches further aside than a straight one is long."""


@dataclass(frozen=True, slots=True)
class Item:
    """A thing on the belt: ``colour`` (s, s, 3) float32 BGR 0..255, ``alpha`` (s, s) float32 0..1, centred.

    ``mark`` (s, s) float32 0..1 is where its fault is to be seen, nowhere on a sound one.
    """

    kind: str
    colour: NDArray[np.float32]
    alpha: NDArray[np.float32]
    fault: str
    mark: NDArray[np.float32]


def part(kind: str, scale: float, light: float, random: np.random.Generator, fault: str = "") -> Item:
    """Draw a washer, nut or bolt; ``light`` is where light comes from, in radians."""
    draw, radius = _PARTS[kind]
    size = radius * scale * random.uniform(0.8, 1.2)
    canvas = _canvas(size, random, _FINISHES_BGR)
    end = faults.bend(canvas, kind, size, random) if fault == "bent" else None
    draw(canvas, size, random)
    mark = np.zeros_like(canvas.alpha)
    if end is not None:
        mark = faults.show_bend(canvas, end, kind, random)
    elif fault == "scratched":
        mark = faults.scratch(canvas, kind, size, random)
    return Item(kind, *_lit(canvas, light, random), fault, mark)


def clutter(scale: float, light: float, random: np.random.Generator) -> Item:
    """Draw something that is none of them; its kind is empty."""
    size = random.uniform(8, 40) * scale
    canvas = _canvas(size, random, _DIRT_BGR)
    _CLUTTER[random.integers(len(_CLUTTER))](canvas, size, random)
    return Item("", *_lit(canvas, light, random), "", np.zeros_like(canvas.alpha))


def _canvas(size: float, random: np.random.Generator, palette: tuple[tuple[int, int, int], ...]) -> Canvas:
    colour = np.array(palette[random.integers(len(palette))]) * random.uniform(0.85, 1.15)
    return Canvas(size * _ROOM, random.uniform(0, 2 * np.pi), np.clip(colour, 0, 255).astype(np.float32))


def _lit(canvas: Canvas, light: float, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Brighten the edges that face the light, darken the others, and add a soft gleam and the grain of the metal."""
    soft = cv2.GaussianBlur(canvas.alpha, (0, 0), 1.6)
    facing = cv2.Sobel(soft, cv2.CV_32F, 1, 0) * np.cos(light) + cv2.Sobel(soft, cv2.CV_32F, 0, 1) * np.sin(light)
    ramp = np.linspace(-1, 1, len(soft), dtype=np.float32)
    gleam = ramp[np.newaxis, :] * np.cos(light) + ramp[:, np.newaxis] * np.sin(light)
    gain = 1 - random.uniform(0.15, 0.5) * facing - random.uniform(0.0, 0.3) * gleam
    gain += random.normal(0, random.uniform(0.0, 0.05), soft.shape)
    return np.clip(canvas.colour * gain[..., np.newaxis], 0, 255).astype(np.float32), canvas.alpha


def _washer(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    flattened = random.uniform(0.9, 1.0)
    canvas.fill(ellipse(size, flattened))
    canvas.fill(ellipse(size * random.uniform(0.45, 0.6), flattened), 0.0)


def _nut(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    flattened = random.uniform(0.9, 1.0)
    hole = size * random.uniform(0.40, 0.50)
    canvas.fill(ellipse(size, flattened, sides=6))
    canvas.shade(ellipse(size, flattened, sides=6), random.uniform(0.75, 0.9))
    canvas.shade(ellipse(size * 0.86, flattened), random.uniform(1.15, 1.35))
    canvas.shade(ellipse(hole * 1.1, flattened), random.uniform(0.2, 0.4))
    canvas.fill(ellipse(hole, flattened), random.uniform(0.3, 0.7))  # as deep as it is wide: hardly any light gets in


def _bolt(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    shank = size * random.uniform(0.15, 0.2)
    head, head_end = shank * random.uniform(1.7, 2.0), -size + size * random.uniform(0.26, 0.36)
    canvas.fill(box(head_end - 1, -shank, size * 0.96, shank))
    canvas.fill(box(size * 0.9, -shank * 0.7, size, shank * 0.7))
    canvas.fill(box(-size, -head, head_end, head))
    for band, gain in ((1.0, 0.8), (0.55, 1.3)):
        canvas.shade(box(head_end, -shank * band, size, shank * band), gain)
    canvas.shade(box(-size, -head, head_end, -head * 0.5), 0.75)
    canvas.shade(box(-size, head * 0.5, head_end, head), 0.85)
    thread_start = head_end + (size - head_end) * random.uniform(0.1, 0.5)
    for x in np.arange(thread_start, size, 3.5):
        canvas.shade(box(x, -shank, x + 1.5, shank), 0.6)


def _disc(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    canvas.fill(ellipse(size * 0.7, random.uniform(0.8, 1.0)))


def _strip(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    half = size * random.uniform(0.05, 0.2)
    canvas.fill(box(-size, -half, size, half))


def _label(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    half = size * random.uniform(0.3, 0.7)
    canvas.fill(box(-size * 0.7, -half, size * 0.7, half))
    for y in np.arange(-half * 0.7, half * 0.7, 6.0):
        canvas.shade(box(-size * 0.55, y, size * random.uniform(0, 0.55), y + 2), 0.4)


def _shred(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    angles = np.linspace(0, random.uniform(2, 6), 24)
    canvas.stroke(_spiral(angles, size), random.uniform(1, 3))


def _spiral(angles: NDArray[np.float64], size: float) -> Points:
    radius = size * (0.3 + 0.7 * angles / angles[-1])
    return np.stack([np.cos(angles) * radius, np.sin(angles) * radius], axis=1)


def _stain(canvas: Canvas, size: float, random: np.random.Generator) -> None:
    canvas.fill(ellipse(size * 0.7, sides=12) * random.uniform(0.6, 1.2, (12, 1)), random.uniform(0.3, 1.0))


_PARTS: dict[str, tuple[Draw, float]] = {"washer": (_washer, 30.0), "nut": (_nut, 29.0), "bolt": (_bolt, 50.0)}
_CLUTTER: tuple[Draw, ...] = (_disc, _strip, _label, _shred, _stain)
