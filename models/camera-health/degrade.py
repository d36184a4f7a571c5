"""How training spoils a picture: one function a fault, each (h, w, 3) uint8 BGR to the same shape.

Lengths are shares of the picture's width (of blur: of its longer side), so that a fault looks alike at any resolution. ``holdout.py``
spoils pictures for the judge by other means; the two share the definitions in ``README.md`` and no code. What breaks a picture
altogether is in ``garbage.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from garbage import broken, clipped, grain
from scenes import chance, cloud, colour

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Fault = Callable[[Picture, "Stock", np.random.Generator], Picture]
    Outline = Callable[[tuple[int, ...], "Stock", np.random.Generator], NDArray[np.float32]]

LABELS = ("ok", "dark", "overexposed", "blurred", "occluded", "tilted", "noise")
DARKEST_MEAN, BURNT_SHARE = 26, 0.6
COVERED, LEFT_OVER = (0.42, 0.9), (0.0, 0.38)
BLUR = (0.009, 0.04)
_EXACT_SIGMA = 3.0


class Stock:
    """What faults are made of: noise of all sizes (drawn once, cut anew), and the textures of plain surfaces."""

    def __init__(self, random: np.random.Generator, surfaces: list[Picture]) -> None:
        self.clouds = [cloud(400, 640, random, roughness) for roughness in (0.3, 0.4, 0.5, 0.6, 0.7, 0.85) * 4]
        self.surfaces = surfaces

    def cloud(self, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float32]:
        """Cut a piece and stretch it to ``shape``."""
        whole = self.clouds[random.integers(len(self.clouds))]
        share = random.uniform(0.3, 1)
        h, w = int(400 * share), int(640 * share)
        y, x = random.integers(401 - h), random.integers(641 - w)
        return _flipped(cv2.resize(whole[y : y + h, x : x + w], (shape[1], shape[0])), random)


def ok(picture: Picture, stock: Stock, random: np.random.Generator) -> Picture:
    """Small blemishes of a camera that is well: exposure, a little noise, softness, vignetting, roll, a thing at the edge."""
    height, width = picture.shape[:2]
    if chance(random, 0.3):
        picture = rolled(picture, random.uniform(-8, 8), 1.2, random)
    if chance(random, 0.15):
        picture = _cover(picture, stock, random, (0.02, 0.15))
    seen = picture.astype(np.float32)
    if chance(random, 0.3):
        seen = cv2.GaussianBlur(seen, (0, 0), random.uniform(0.0005, 0.0025) * width + 1e-3)
    elif chance(random, 0.4):  # as cameras sharpen
        seen = seen + random.uniform(0.3, 1.8) * (seen - cv2.GaussianBlur(seen, (0, 0), random.uniform(0.7, 2)))
    if chance(random, 0.3):
        seen = seen * (1 - random.uniform(0, 0.5) * _distance(height, width)[..., np.newaxis] ** 2)
    if chance(random, 0.5):
        seen = 255 * (np.clip(seen, 0, 255) / 255) ** random.uniform(0.7, 1.4)
    if chance(random, 0.5):
        seen = seen + grain(seen.shape, random.uniform(0, 9))
    return clipped(seen)


def dark(picture: Picture, stock: Stock, random: np.random.Generator) -> Picture:
    """Hardly any light: what is left is a weak picture and the sensor's grain."""
    del stock
    seen = 255 * (picture.astype(np.float32) / 255) ** random.uniform(0.8, 1.6)
    wanted = random.uniform(0.5, DARKEST_MEAN)
    seen *= wanted / max(float(seen.mean()), 1.0)
    noise = grain(seen.shape, random.uniform(0, 7))
    if chance(random, 0.4):
        noise = noise.mean(axis=2, keepdims=True) * 1.7
    return clipped(seen + noise + random.uniform(0, 5, 3))


def overexposed(picture: Picture, stock: Stock, random: np.random.Generator) -> Picture:
    """Most of the picture is burnt out, and the rest is washed out."""
    del stock
    if chance(random, 0.3):
        return _sunlit(picture, random)
    seen = 255 * (picture.astype(np.float32) / 255) ** random.uniform(0.5, 1.2)
    veil = random.uniform(0, 90)
    least = seen.min(axis=2)
    border = float(np.quantile(least, random.uniform(0.02, 1 - BURNT_SHARE)))
    gain = max((255 - veil) / max(border, 4.0), 1.3)
    seen = seen * gain + veil
    if chance(random, 0.4):  # the sun stands in the picture or beside it
        away, _ = _half_plane(*seen.shape[:2], random, (0.3, 0.8))
        other, _ = _half_plane(*seen.shape[:2], random, (0.3, 0.8))
        seen += random.uniform(80, 400) / (1 + random.uniform(1, 6) * (away**2 + other**2))[..., np.newaxis]
    if chance(random, 0.5):  # bright parts glow into the others
        seen += 0.5 * soft(np.minimum(seen, 600), picture.shape[1] * random.uniform(0.01, 0.06))
    return clipped(seen + grain(seen.shape, random.uniform(0, 5)))


def blurred(picture: Picture, stock: Stock, random: np.random.Generator) -> Picture:
    """Out of focus, shaken, or behind a greasy glass."""
    del stock
    sigma = random.uniform(*BLUR) * max(picture.shape)
    if chance(random, 0.3):
        length = int(sigma * 3.5) | 1
        kernel = np.zeros((length, length), np.float32)
        reach = length / 2 * np.array([np.cos(angle := random.uniform(0, np.pi)), np.sin(angle)])
        ends = [tuple(np.round(length / 2 + side * reach).astype(int).tolist()) for side in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, max(1, length // 9))
        seen = cv2.filter2D(picture, -1, kernel / kernel.sum()).astype(np.float32)
        seen = soft(seen, sigma * 0.35)
    else:
        seen = soft(picture.astype(np.float32), sigma)
    if chance(random, 0.3):
        seen = seen * random.uniform(0.5, 0.9) + random.uniform(10, 100)
    return clipped(seen * random.uniform(0.7, 1.2) + grain(seen.shape, random.uniform(0, 4)))


def occluded(picture: Picture, stock: Stock, random: np.random.Generator) -> Picture:
    """Something close to the lens, and so out of focus, hides a large part; behind it the scene stands as it should."""
    if chance(random, 0.4):
        return _web(picture, random)
    return _cover(picture, stock, random, COVERED)


def tilted(picture: Picture, stock: Stock, random: np.random.Generator) -> Picture:
    """The view is on plain surfaces, in focus; what is left of the scene hangs rolled at the edge."""
    height, width = picture.shape[:2]
    seen = _surface(picture, stock, random)
    left = rolled(picture, random.choice([-1, 1]) * random.uniform(12, 100), random.uniform(1.0, 1.8), random)
    if chance(random, 0.5):
        seen = _corner(seen, left, random)
    else:
        for _ in range(random.integers(0, 3)):  # where walls and ceiling meet
            beyond, _ = _half_plane(height, width, random, (0.15, 0.85))
            other = _surface(picture, stock, random) if chance(random, 0.4) else seen * random.uniform(0.6, 1.3)
            seen = np.where(beyond[..., np.newaxis] > 0, other, seen)
        if chance(random, 0.75):
            beyond, _ = _half_plane(height, width, random, LEFT_OVER)
            seen = np.where(beyond[..., np.newaxis] > 0, left, seen)
    if chance(random, 0.2):
        _lamp(seen, random)
    if chance(random, 0.4):
        seen = cv2.GaussianBlur(seen, (0, 0), random.uniform(0.0005, 0.0025) * width + 1e-3)
    return clipped(seen + grain(seen.shape, random.uniform(0, 6)))


def noise(picture: Picture, stock: Stock, random: np.random.Generator) -> Picture:
    """No picture but snow, lines, torn rows or a decoder's blocks, in all of it or in most."""
    del stock
    return broken(picture, random)


def rolled(picture: Picture, degrees: float, zoom: float, random: np.random.Generator) -> Picture:
    """Turn the picture about its middle and lean it a little; what it does not reach is mirrored."""
    height, width = picture.shape[:2]
    turn = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom), [0, 0, 1]])
    lean = np.eye(3)
    lean[2, :2] = random.normal(0, 0.12, 2) / width
    return cv2.warpPerspective(picture, lean @ turn, (width, height), borderMode=cv2.BORDER_REFLECT)


def soft(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Blur as a Gaussian does; a wide one on a smaller copy, which takes a tenth of the time."""
    shrink = max(1, int(sigma / _EXACT_SIGMA))
    height, width = plane.shape[:2]
    few = cv2.resize(plane, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA) if shrink > 1 else plane
    return cv2.resize(cv2.GaussianBlur(few, (0, 0), sigma / shrink), (width, height), interpolation=cv2.INTER_LINEAR)


def _flipped(plane: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    return np.ascontiguousarray(plane[:: random.choice([-1, 1]), :: random.choice([-1, 1])])


def _distance(height: int, width: int) -> NDArray[np.float32]:
    """Give the distance from the middle; 1 in the corners."""
    across, along = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    return np.sqrt((across[np.newaxis, :] ** 2 + along[:, np.newaxis] ** 2) / 2)


def _half_plane(
    height: int, width: int, random: np.random.Generator, shares: tuple[float, float]
) -> tuple[NDArray[np.float32], float]:
    """Cut the picture by a straight line at any angle: above 0 beyond it, which is the share that is told."""
    angle, share = random.uniform(0, 2 * np.pi), random.uniform(*shares)
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.cos(angle)
    along = np.linspace(-1, 1, height, dtype=np.float32) * np.sin(angle) * height / width
    plane = across[np.newaxis, :] + along[:, np.newaxis]
    return (plane - np.quantile(plane[::8, ::8], 1 - share)).astype(np.float32), share


def _cover(picture: Picture, stock: Stock, random: np.random.Generator, shares: tuple[float, float]) -> Picture:
    """Lay an out-of-focus thing over a share of the picture, as grey or as gaudy as things are."""
    width = picture.shape[1]
    reach = _OUTLINES[random.integers(len(_OUTLINES))](picture.shape, stock, random)
    mask = (reach > np.quantile(reach[::8, ::8], 1 - random.uniform(*shares))).astype(np.float32)
    mask = soft(mask, random.uniform(0.01, 0.045) * width)[..., np.newaxis]
    mask *= random.choice([1.0, 1.0, random.uniform(0.88, 1)])
    smooth = soft(stock.cloud(picture.shape, random), width * random.uniform(0.015, 0.06))
    paint = colour(random, 3, 220) if chance(random, 0.6) else random.uniform(0, 255, 3).astype(np.float32)
    shade, _ = _half_plane(*picture.shape[:2], random, (0.2, 0.8))
    lit = 1 + smooth * random.uniform(0, 0.2) + shade * random.uniform(-0.4, 0.4) * random.choice([0, 1])
    seen = paint * lit[..., np.newaxis] + smooth[..., np.newaxis] * random.uniform(0, 25)
    return clipped(picture * (1 - mask) + np.clip(seen, 0, 255) * mask + grain(picture.shape, random.uniform(0, 4)))


def _straight(shape: tuple[int, ...], stock: Stock, random: np.random.Generator) -> NDArray[np.float32]:
    """One straight edge, a wedge or a band; higher is further inside."""
    del stock
    reach, _ = _half_plane(*shape[:2], random, (0.5, 0.5))
    other, _ = _half_plane(*shape[:2], random, (0.2, 0.8))
    return random.choice(
        [lambda: reach, lambda: np.minimum(reach, other), lambda: np.maximum(reach, other), lambda: -np.abs(other)]
    )()


def _ragged(shape: tuple[int, ...], stock: Stock, random: np.random.Generator) -> NDArray[np.float32]:
    """From a side or several, with an uneven edge, perhaps in fingers."""
    reach, _ = _half_plane(*shape[:2], random, (0.5, 0.5))
    if chance(random, 0.25):
        reach = np.maximum(reach, _half_plane(*shape[:2], random, (0.3, 0.7))[0])
    reach = reach * random.uniform(0.5, 3) + stock.cloud(shape, random) * random.uniform(0, 0.5)
    if chance(random, 0.35):
        across, _ = _half_plane(*shape[:2], random, (0.5, 0.5))
        reach = reach + random.uniform(0.1, 0.4) * np.cos(across * random.uniform(6, 20))
    return reach


def _rounded(shape: tuple[int, ...], stock: Stock, random: np.random.Generator) -> NDArray[np.float32]:
    """An ellipse anywhere, smooth or a little uneven."""
    away, _ = _half_plane(*shape[:2], random, (0.2, 0.8))
    other, _ = _half_plane(*shape[:2], random, (0.2, 0.8))
    return (
        stock.cloud(shape, random) * random.choice([0.0, random.uniform(0, 0.3)])
        - away**2
        - other**2 * random.uniform(0.5, 3)
    )


def _web(picture: Picture, random: np.random.Generator) -> Picture:
    """A spider's web before the lens: broad, soft strands, mostly lit, over most of the view."""
    height, width = picture.shape[:2]
    hub = random.uniform(0, 1, 2) * (width, height)
    strands = np.zeros((height, width), np.float32)
    thick = max(2, round(width * random.uniform(0.012, 0.035)))
    angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(9, 18)))
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for ray in rays:
        _strand(strands, hub, hub + ray * width * 1.3, thick)
    for ring in np.arange(0.1, 1.3, random.uniform(0.1, 0.16)):
        for ray, following in zip(rays, np.roll(rays, -1, axis=0), strict=True):
            _strand(strands, hub + ray * width * ring, hub + following * width * ring, thick)
    veil = np.clip(cv2.GaussianBlur(strands, (0, 0), thick * random.uniform(0.3, 0.8)) * 1.3, 0, 1)[..., np.newaxis]
    veil *= random.uniform(0.55, 1)
    return clipped(picture * (1 - veil) + colour(random, 120, 255) * veil)


def _sunlit(picture: Picture, random: np.random.Generator) -> Picture:
    """The sun in the picture or beside it: around it all is burnt out, and far from it things keep some colour."""
    away, _ = _half_plane(*picture.shape[:2], random, (0.2, 0.8))
    other, _ = _half_plane(*picture.shape[:2], random, (0.2, 0.8))
    glow = 1 / (1 + random.uniform(0.7, 8) * (away**2 + other**2 * random.uniform(0.3, 1)))
    seen = picture * random.uniform(0.9, 1.7) + random.uniform(0, 30)
    missing = (255 - seen.min(axis=2)) / glow
    strength = max(0.0, float(np.quantile(missing, random.uniform(BURNT_SHARE, 0.95))))
    seen = seen + (strength * glow)[..., np.newaxis]
    return clipped(seen.astype(np.float32) + grain(seen.shape, random.uniform(0, 3)))


def _strand(plane: NDArray[np.float32], start: NDArray[np.float64], end: NDArray[np.float64], thick: int) -> None:
    first, last = np.round(start).astype(int).tolist(), np.round(end).astype(int).tolist()
    cv2.line(plane, tuple(first), tuple(last), 1.0, thick, cv2.LINE_AA)


def _surface(picture: Picture, stock: Stock, random: np.random.Generator) -> NDArray[np.float32]:
    """A wall, a ceiling, a floor or the sky: one colour, shading, and a texture that is no thing."""
    height, width = picture.shape[:2]
    shade, _ = _half_plane(height, width, random, (0.2, 0.8))
    relief = stock.cloud((height, width), random) * random.uniform(0, 9)
    if chance(random, 0.4):
        relief = soft(relief, width * random.uniform(0.004, 0.03))
    if chance(random, 0.35):
        texture = stock.surfaces[random.integers(len(stock.surfaces))]
        size = int(random.uniform(0.3, 1) * min(texture.shape[:2]))
        piece = cv2.resize(texture[:size, :size, 0], (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        relief = relief + (piece - piece.mean()) * random.uniform(0.1, 0.5)
    fade = 1 / (1 + random.uniform(0, 1) * (shade - shade.mean()) ** 2) if chance(random, 0.5) else np.ones_like(shade)
    paint = colour(random, 30, 215)
    if chance(random, 0.4):  # as something in the scene is
        paint = picture[random.integers(height), random.integers(width)] * random.uniform(0.4, 0.9) + random.uniform(
            15, 60
        )
    painted = paint + (relief + shade * random.uniform(0, 40))[..., np.newaxis]
    if chance(random, 0.15):  # a carpet, a stained wall, clouds
        stains = np.clip(stock.cloud((height, width), random) * random.uniform(0.5, 4), -1, 1)
        painted = painted + stains[..., np.newaxis] * random.normal(0, random.uniform(4, 22), 3)
    return painted * fade[..., np.newaxis]


def _corner(seen: NDArray[np.float32], left: Picture, random: np.random.Generator) -> NDArray[np.float32]:
    """Let three surfaces meet in a point, each in light of its own, with what is left of the scene in a part of one."""
    height, width = seen.shape[:2]
    x, y = random.uniform(-0.2, 1.2) * width, random.uniform(-0.2, 1.2) * height
    angle = np.arctan2(np.arange(height)[:, np.newaxis] - y, np.arange(width)[np.newaxis, :] - x)
    edges = np.sort(random.uniform(0, 2 * np.pi) + np.array([0, 2.1, 4.2]) + random.normal(0, 0.35, 3)) % (2 * np.pi)
    part = np.digitize(angle % (2 * np.pi), np.sort(edges)) % 3
    walls = seen * random.uniform(0.45, 1.15, 3)[part][..., np.newaxis]
    inside = part == random.integers(3)
    if inside.mean() > LEFT_OVER[1]:
        beyond, _ = _half_plane(height, width, random, (0.1, LEFT_OVER[1]))
        inside = beyond > 0
    return np.where(inside[..., np.newaxis], left, walls).astype(np.float32)


def _lamp(seen: NDArray[np.float32], random: np.random.Generator) -> None:
    height, width = seen.shape[:2]
    at = (round(random.uniform(0, width)), round(random.uniform(0, height)))
    size = (round(width * random.uniform(0.02, 0.12)), round(width * random.uniform(0.02, 0.12)))
    cv2.ellipse(seen, at, size, random.uniform(0, 180), 0, 360, (250, 250, 250), -1, cv2.LINE_AA)


_OUTLINES: tuple[Outline, ...] = (_straight, _straight, _straight, _ragged, _ragged, _rounded, _rounded)
FAULTS: dict[str, Fault] = {
    "ok": ok, "dark": dark, "overexposed": overexposed, "blurred": blurred, "occluded": occluded, "tilted": tilted, "noise": noise,
}  # fmt: skip
