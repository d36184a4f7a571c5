"""What makes a part faulty: it is bent out of shape, or scratched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.parts.canvas import box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.parts.canvas import Canvas, Points

_DARK = 115
"""A finish below this grey value is scratched down to bright steel; on a brighter one the groove is what is seen."""


def bend(canvas: Canvas, kind: str, size: float, random: np.random.Generator) -> Points:
    """Bend what is drawn from now on: a bolt along an arc, a washer or nut so that one side stands up; give that end."""
    if kind == "bolt":
        start, length = size * random.uniform(-0.45, 0.1), size * random.uniform(0.3, 0.8)
        angle = random.uniform(0.55, 1.05) * random.choice((-1, 1))
        canvas.bend = lambda points: _along_an_arc(points, start, length, angle)
        return box(start + length / 2, -0.4 * size, size, 0.4 * size)
    line, squeeze = size * random.uniform(-0.25, 0.2), random.uniform(0.3, 0.55)
    canvas.bend = lambda points: _folded(points, line, squeeze)
    return box(line, -size, size, size)


def show_bend(canvas: Canvas, end: Points, kind: str, random: np.random.Generator) -> NDArray[np.float32]:
    """Let light fall otherwise on a side that stands up; give where the bent end lies, (s, s) float32 0..1."""
    gain = 1.0 if kind == "bolt" else float(random.choice((0.75, 1.25)))
    return canvas.shade(end, gain) * canvas.alpha


def scratch(canvas: Canvas, kind: str, size: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw one to three grooves, a tenth to a seventeenth of a washer's width each; give where they lie, (s, s) float32 0..1."""
    gain = random.uniform(2.2, 3.2) if canvas.colour.mean() < _DARK else random.uniform(0.25, 0.5)
    across = random.uniform(0, 2 * np.pi)
    before, solid = canvas.colour.copy(), canvas.alpha > 0.9  # noqa: PLR2004 - nothing is scratched in a nut's hole
    mark = np.zeros_like(canvas.alpha)
    for _ in range(random.integers(1, 3, endpoint=True)):
        line = (
            _over_the_shank(size, random) if kind == "bolt" else _chord(across + random.normal(0, 0.25), size, random)
        )
        mark = np.maximum(mark, canvas.shade(line, gain))
    canvas.colour = np.where(solid[..., np.newaxis], canvas.colour, before)
    return mark * solid


def _chord(across: float, size: float, random: np.random.Generator) -> Points:
    offset = size * random.uniform(0.1, 0.75)
    half = np.sqrt(size**2 - offset**2) * random.uniform(0.8, 1.0)
    return _turned(_groove(half, _width(size / 30, random)) + np.array([0.0, offset]), across)


def _over_the_shank(size: float, random: np.random.Generator) -> Points:
    angle = random.uniform(0.25, 0.8) * random.choice((-1, 1))
    middle = np.array([size * random.uniform(-0.3, 0.6), 0.0])
    half = size * random.uniform(0.3, 0.5)
    return _turned(_groove(half, _width(size / 50, random)), angle) + middle


def _width(scale: float, random: np.random.Generator) -> float:
    return float(random.uniform(3.4, 5.6) * scale)


def _groove(half: float, width: float) -> Points:
    """Give a strip with pointed ends."""
    corners = np.array([[-half, 0], [-half * 0.7, -width / 2], [half * 0.7, -width / 2], [half, 0]])
    return np.concatenate([corners, corners[2:0:-1] * (1, -1)])


def _turned(points: Points, angle: float) -> Points:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T


def _along_an_arc(points: Points, start: float, length: float, angle: float) -> Points:
    """Straight up to ``start``, turning by ``angle`` over ``length``, straight again."""
    x, y = points[:, 0] - start, points[:, 1]
    bent = np.clip(x, 0, length)
    turn, straight, radius = angle * bent / length, x - bent, length / angle
    along = start + radius * np.sin(turn) + straight * np.cos(turn) - y * np.sin(turn)
    aside = radius * (1 - np.cos(turn)) + straight * np.sin(turn) + y * np.cos(turn)
    return np.stack([along, aside], axis=1)


def _folded(points: Points, line: float, squeeze: float) -> Points:
    """Seen from above, the side that stands up takes less room."""
    x = points[:, 0]
    return np.stack([np.where(x > line, line + (x - line) * squeeze, x), points[:, 1]], axis=1)
