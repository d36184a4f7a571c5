"""Pictures to spoil: rendered scenes of many kinds, and the sample photographs that build dependencies carry.

Pictures are (h, w, 3) uint8 BGR. ``leaves`` is the dead leaves model, whose edges and contrasts are distributed as those of
photographs are (Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Draw = Callable[[np.random.Generator], NDArray[np.float32]]

WIDTH, HEIGHT = 640, 400
_WHITE = (225, 275)
"""Of a white background: above 255 it has neither grain nor shade left."""
PHOTOGRAPHS = {
    "skimage.data": (
        "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "motorcycle_left.png", "rocket.jpg",
    ),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}  # fmt: skip
SURFACES = {"skimage.data": ("brick.png", "grass.png", "gravel.png")}
"""Grey textures that a camera sees which looks at a wall or at the ground."""


@cache
def photographs() -> list[Picture]:
    """Read the sample photographs of scikit-image and scikit-learn."""
    return _read(PHOTOGRAPHS)


@cache
def surfaces() -> list[Picture]:
    """Read the textures of scikit-image."""
    return _read(SURFACES)


def render(random: np.random.Generator) -> Picture:
    """Make up a scene, (400, 640, 3)."""
    canvas = _KINDS[random.integers(len(_KINDS))](random)
    shade = 1 + random.uniform(0, 0.25) * _ramp(random)
    return np.clip(canvas * shade[..., np.newaxis], 0, 255).astype(np.uint8)


def cloud(height: int, width: int, random: np.random.Generator, roughness: float = 0.6) -> NDArray[np.float32]:
    """Give noise of all sizes, mean 0, deviation 1: each octave has ``roughness`` times the strength of the one before."""
    total = np.zeros((height, width), np.float32)
    cells, strength = 3, 1.0
    while cells < width / 2:
        grid = random.normal(0, strength, (max(2, cells * height // width), cells)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, strength = cells * 2, strength * roughness
    return (total - total.mean()) / max(float(total.std()), 1e-6)


def colour(random: np.random.Generator, low: float = 15, high: float = 240) -> NDArray[np.float32]:
    """Draw a colour, (3,) BGR: mostly dull ones, as things have them."""
    grey = random.uniform(low, high)
    return np.clip(grey + random.normal(0, 1, 3) * random.uniform(0, 60), 0, 255).astype(np.float32)


def chance(random: np.random.Generator, share: float) -> bool:
    """Say yes in that share of the cases."""
    return bool(random.random() < share)


def _read(names: dict[str, tuple[str, ...]]) -> list[Picture]:
    found = [(files(package) / name).read_bytes() for package, listed in names.items() for name in listed]
    return [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in found]


def _ramp(random: np.random.Generator) -> NDArray[np.float32]:
    angle = random.uniform(0, 2 * np.pi)
    across, along = np.linspace(-1, 1, WIDTH) * np.cos(angle), np.linspace(-1, 1, HEIGHT) * np.sin(angle)
    return (across[np.newaxis, :] + along[:, np.newaxis]).astype(np.float32)


def _plain(random: np.random.Generator, low: float = 15, high: float = 240) -> NDArray[np.float32]:
    grain = cloud(HEIGHT, WIDTH, random, random.uniform(0.3, 0.9)) * random.uniform(0, 8)
    return colour(random, low, high) + (grain + _ramp(random) * random.uniform(0, 25))[..., np.newaxis]


def _fill(
    canvas: NDArray[np.float32], points: NDArray[np.float64], random: np.random.Generator, woven: float = 0.09
) -> None:
    """Paint a polygon with a colour, a gradient, a grain and, in a share of ``woven``, a texture of its own."""
    mask = np.zeros(canvas.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    x, y, w, h = cv2.boundingRect(np.round(points).astype(np.int32))
    x1, y1, x2, y2 = max(0, x - 1), max(0, y - 1), min(canvas.shape[1], x + w + 2), min(canvas.shape[0], y + h + 2)
    if x2 - x1 < 2 or y2 - y1 < 2:  # noqa: PLR2004 - nothing of it is in the picture
        return
    slope = np.linspace(-1, 1, x2 - x1)[np.newaxis, :] * random.normal() + np.linspace(-1, 1, y2 - y1)[:, np.newaxis]
    paint = slope * random.uniform(0, 30) + random.normal(0, 1, slope.shape) * random.uniform(0, 12)
    if chance(random, woven):
        paint = paint + _woven(paint.shape, random)
    window = canvas[y1:y2, x1:x2]
    window += (colour(random) + paint[..., np.newaxis] - window) * (mask[y1:y2, x1:x2, np.newaxis] / 255.0)


def _woven(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float32]:
    """Cut a piece of grass, gravel, bricks or a photograph, about 0, at any scale."""
    stock = surfaces() if chance(random, 0.5) else photographs()
    texture = stock[random.integers(len(stock))]
    high, wide = (
        max(2, min(side, int(wanted * random.uniform(0.6, 3))))
        for side, wanted in zip(texture.shape, shape, strict=False)
    )
    y, x = (int(random.integers(side - size + 1)) for side, size in zip(texture.shape, (high, wide), strict=False))
    piece = texture[y : y + high, x : x + wide, random.integers(3)]
    piece = cv2.resize(piece, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32)
    return (piece - piece.mean()) * random.uniform(0.2, 1.0)


def _blob(x: float, y: float, size: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Give the outline of something: round, cornered or ragged."""
    kind = random.integers(4)
    count = 40 if kind == 0 else int(random.integers(3, 9))
    angles = np.sort(random.uniform(0, 2 * np.pi, count)) if kind == 1 else np.arange(count) * 2 * np.pi / count
    radius = size * (random.uniform(0.5, 1.2, count) if kind == 2 else np.ones(count))  # noqa: PLR2004 - the third kind
    turn, flat = random.uniform(0, np.pi), random.uniform(0.35, 1)
    points = np.stack([np.cos(angles) * radius, np.sin(angles) * radius * flat], axis=1)
    return points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + [x, y]


def _box(x1: float, y1: float, x2: float, y2: float) -> NDArray[np.float64]:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _leaves(random: np.random.Generator) -> NDArray[np.float32]:
    canvas = _plain(random)
    smallest = random.uniform(6, 25)
    for _ in range(random.integers(80, 500)):
        size = min(smallest / np.sqrt(random.uniform(0.004, 1)), 160)
        _fill(canvas, _blob(random.uniform(0, WIDTH), random.uniform(0, HEIGHT), size, random), random)
    return canvas


def _things(random: np.random.Generator) -> NDArray[np.float32]:
    """A few things before a plain, a white, a rough or an out-of-focus background, as in a shop or on a bench."""
    kind = random.choice([0, 0, 1, 2, 3])
    canvas = _plain(random, *_WHITE) if kind == 0 else _leaves(random) if kind == 2 else _plain(random)  # noqa: PLR2004 - the third kind
    if kind == 3:  # noqa: PLR2004 - on a lawn, on gravel
        canvas += _woven(canvas.shape[:2], random)[..., np.newaxis] * random.uniform(0.6, 1.2, 3).astype(np.float32)
    if kind == 2:  # noqa: PLR2004 - the third kind
        canvas = cv2.GaussianBlur(canvas, (0, 0), random.uniform(6, 25))
    for _ in range(random.integers(1, 7)):
        x, y, size = random.uniform(0.15, 0.85) * WIDTH, random.uniform(0.2, 0.8) * HEIGHT, random.uniform(80, 190)
        _fill(canvas, _blob(x, y, size, random), random)
        for _ in range(random.integers(5, 30)):
            at = random.normal(0, size / 3, 2)
            _fill(canvas, _blob(x + at[0], y + at[1], size * random.uniform(0.04, 0.3), random), random)
    return canvas


def _room(random: np.random.Generator) -> NDArray[np.float32]:
    """A wall above a floor, perhaps with side walls, and what stands and hangs there."""
    canvas, edge = _plain(random, 90, 250), random.uniform(0.45, 0.85) * HEIGHT
    _floor(canvas, edge, random)
    if chance(random, 0.5):
        side = random.uniform(0.05, 0.3) * WIDTH
        _fill(canvas, np.array([[0, -60], [side, 0], [side, edge], [0, HEIGHT + 60.0]]), random)
    for _ in range(random.integers(0, 5)):
        x, y, w, h = (
            random.uniform(0, WIDTH),
            random.uniform(0, edge * 0.6),
            random.uniform(20, 150),
            random.uniform(30, 130),
        )
        _fill(canvas, _box(x, y, x + w, y + h), random)
        _fill(canvas, _box(x + 5, y + 5, x + w - 5, y + h - 5), random)
    for _ in range(random.integers(1, 6)):
        _furniture(canvas, random.uniform(0, WIDTH), random.uniform(edge, HEIGHT), random)
    for _ in range(random.integers(0, 4)):
        _person(canvas, random.uniform(0.05, 0.95) * WIDTH, random.uniform(edge, HEIGHT * 1.2), random)
    return canvas


def _floor(canvas: NDArray[np.float32], edge: float, random: np.random.Generator) -> None:
    _fill(canvas, _box(-1, edge, WIDTH + 1, HEIGHT + 1), random, 0.5)
    vanish, lines = random.uniform(0.2, 0.8) * WIDTH, random.integers(0, 60)
    shade = colour(random).tolist()
    for x in np.linspace(-2 * WIDTH, 3 * WIDTH, lines):
        near = vanish + (x - vanish) * 0.35
        cv2.line(canvas, (round(near), round(edge)), (round(x), HEIGHT), shade, 1, cv2.LINE_AA)


def _furniture(canvas: NDArray[np.float32], x: float, y: float, random: np.random.Generator) -> None:
    w, h, leg = random.uniform(30, 180), random.uniform(10, 130), random.uniform(0, 90)
    for foot in (x, x + w - 6):
        _fill(canvas, _box(foot, y - leg, foot + 6, y), random)
    _fill(canvas, _box(x, y - leg - h, x + w, y - leg), random)
    for row in np.linspace(y - leg - h, y - leg, random.integers(1, 5)):
        _fill(canvas, _box(x + 3, row, x + w - 3, row + 4), random)


def _person(canvas: NDArray[np.float32], x: float, foot: float, random: np.random.Generator) -> None:
    tall = random.uniform(90, 330)
    hips, neck = foot - tall * 0.48, foot - tall * 0.84
    wide = tall * random.uniform(0.1, 0.16)
    for side in (-1, 1):
        _fill(canvas, np.array([[x, hips], [x + side * wide, hips], [x + side * wide * 1.1, foot], [x, foot]]), random)
    _fill(
        canvas, np.array([[x - wide * 1.2, neck], [x + wide * 1.2, neck], [x + wide, hips], [x - wide, hips]]), random
    )
    round_ = np.arange(24) * np.pi / 12
    head = np.stack([np.cos(round_) * tall * 0.055, np.sin(round_) * tall * 0.075], axis=1) + np.array(
        [x, foot - tall * 0.92]
    )
    _fill(canvas, head, random)
    _fill(canvas, head[12:], random)


def _street(random: np.random.Generator) -> NDArray[np.float32]:
    """Sky, houses with windows, a road, trees, and what stands on it."""
    canvas, horizon = _plain(random, 120, 255), random.uniform(0.35, 0.75) * HEIGHT
    x = -30.0
    while x < WIDTH:
        w = random.uniform(30, 220)
        if chance(random, 0.8):
            _house(canvas, x, horizon * random.uniform(0.05, 0.9), w, horizon, random)
        x += w
    _floor(canvas, horizon, random)
    for _ in range(random.integers(0, 5)):
        _tree(canvas, random.uniform(0, WIDTH), horizon + random.uniform(0, 40), random)
    for _ in range(random.integers(0, 5)):
        _furniture(canvas, random.uniform(0, WIDTH), random.uniform(horizon, HEIGHT), random)
    for _ in range(random.integers(0, 4)):
        _person(canvas, random.uniform(0, WIDTH), random.uniform(horizon, HEIGHT * 1.1), random)
    return canvas


def _thicket(random: np.random.Generator) -> NDArray[np.float32]:
    """Branches, blades and leaves, finer than the network's pixels, and perhaps somebody before them."""
    canvas = _plain(random)
    shades = [colour(random) for _ in range(4)]
    for _ in range(random.integers(3, 9)):
        middle, spread = random.uniform(0, 1, 2) * (WIDTH, HEIGHT), random.uniform(40, 200)
        lean, length = random.uniform(0, 2 * np.pi), random.uniform(5, 60)
        for start in random.normal(0, 1, (random.integers(150, 500), 2)) * spread + middle:
            angle = lean + random.normal(0, 0.6)
            end = start + np.array([np.cos(angle), np.sin(angle)]) * length
            shade = (shades[random.integers(4)] * random.uniform(0.4, 1.5)).clip(0, 255).tolist()
            cv2.line(
                canvas,
                start.astype(int).tolist(),
                end.astype(int).tolist(),
                shade,
                int(random.integers(1, 4)),
                cv2.LINE_AA,
            )
    for _ in range(random.integers(0, 3)):
        _person(canvas, random.uniform(0, WIDTH), random.uniform(0.7, 1.2) * HEIGHT, random)
    for _ in range(random.integers(0, 3)):
        _fill(
            canvas, _blob(random.uniform(0, WIDTH), random.uniform(0, HEIGHT), random.uniform(30, 120), random), random
        )
    return canvas


def _staged(random: np.random.Generator) -> NDArray[np.float32]:
    """A piece of a photograph, and what stands before it."""
    photo = photographs()[random.integers(len(photographs()))]
    share = random.uniform(0.35, 1)
    high, wide = (int(side * share) for side in photo.shape[:2])
    y, x = random.integers(photo.shape[0] - high + 1), random.integers(photo.shape[1] - wide + 1)
    piece = photo[y : y + high, x : x + wide][:, :: random.choice([-1, 1])]
    canvas = cv2.resize(piece, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if wide > WIDTH else cv2.INTER_CUBIC)
    canvas = np.ascontiguousarray(canvas, np.float32)
    for _ in range(random.integers(0, 12)):
        size = random.uniform(10, 90)
        _fill(canvas, _blob(random.uniform(0, WIDTH), random.uniform(0, HEIGHT), size, random), random, 0.3)
    for _ in range(random.integers(0, 3)):
        _person(canvas, random.uniform(0.05, 0.95) * WIDTH, random.uniform(0.7, 1.2) * HEIGHT, random)
    return canvas


def _house(
    canvas: NDArray[np.float32], x: float, top: float, w: float, foot: float, random: np.random.Generator
) -> None:
    _fill(canvas, _box(x, top, x + w, foot), random)
    step_x, step_y = random.uniform(12, 40), random.uniform(14, 45)
    pane = colour(random).tolist()
    for left in np.arange(x + 4, x + w - step_x * 0.6, step_x):
        for y in np.arange(top + 5, foot - step_y * 0.6, step_y):
            corner = (round(left + step_x * 0.55), round(y + step_y * 0.6))
            cv2.rectangle(canvas, (round(left), round(y)), corner, pane, -1)


def _tree(canvas: NDArray[np.float32], x: float, foot: float, random: np.random.Generator) -> None:
    tall = random.uniform(60, 260)
    _fill(canvas, _box(x - tall * 0.03, foot - tall * 0.6, x + tall * 0.03, foot), random)
    green = np.array([random.uniform(10, 90), random.uniform(50, 170), random.uniform(20, 120)])
    for _ in range(random.integers(60, 260)):
        at = random.normal(0, tall * 0.17, 2) + np.array([x, foot - tall * 0.7])
        shade = np.clip(green * random.uniform(0.3, 1.5), 0, 255).tolist()
        cv2.circle(canvas, (round(at[0]), round(at[1])), int(random.integers(2, 10)), shade, -1, cv2.LINE_AA)


_KINDS: tuple[Draw, ...] = (_leaves, _things, _things, _room, _room, _street, _thicket, _staged)
