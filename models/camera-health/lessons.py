"""What the networks learn from: scenes and sample photographs, framed anew and spoiled, with the names of their faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from degrade import FAULTS, LABELS, Stock
from scenes import chance, photographs, render, surfaces

if TYPE_CHECKING:
    from network import Size
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

PART = 2500
"""Pictures that share their scenes; each part has ``SCENES`` new ones, so that memory holds no more of them."""
SCENES = 250
WIDTHS = (165, 260, 640)
"""Of the pictures before the network's own size: small ones look soft there, large ones sharp and grainy."""
_PHOTOGRAPHED = 0.5
_TRIES = 6
_PLAIN, _SCENE_SHARE = 6.0, 0.4
"""A cell of the view with a smaller deviation is plain."""
_HARD = {"ok": 2.4, "tilted": 1.6, "occluded": 1.6, "noise": 1.5}
"""How much oftener than others a label is drawn: what the rest is told from, and what takes more forms."""


def lessons(parts: int, sizes: tuple[Size, ...], seed: int) -> tuple[list[Picture], NDArray[np.int64]]:
    """Give pictures in each size, (parts * 2500, height, width, 3) RGB, and their labels."""
    pictures = [np.empty((parts * PART, size.height, size.width, 3), np.uint8) for size in sizes]
    labels = np.empty(parts * PART, np.int64)
    for at in range(parts):
        own = slice(at * PART, (at + 1) * PART)
        drawn, labels[own] = part(PART, sizes, seed + 1000 * at)
        for kept, new in zip(pictures, drawn, strict=True):
            kept[own] = new
    return pictures, labels


def part(count: int, sizes: tuple[Size, ...], seed: int) -> tuple[list[Picture], NDArray[np.int64]]:
    """Give so many of them."""
    cv2.setRNGSeed(seed)  # the grain comes from cv2's own generator, which is several times faster
    random = np.random.default_rng(seed)
    stock, photos = Stock(random, surfaces()), photographs()
    scenes = [render(random) for _ in range(SCENES)]
    chances = np.array([_HARD.get(label, 1.0) for label in LABELS])
    labels = random.choice(len(LABELS), count, p=chances / chances.sum())
    pictures = [np.empty((count, size.height, size.width, 3), np.uint8) for size in sizes]
    for at, label in enumerate(labels):
        whole = photos if chance(random, _PHOTOGRAPHED) else scenes
        spoiled = FAULTS[LABELS[label]](framed(whole[random.integers(len(whole))], random), stock, random)
        if chance(random, 0.6):
            spoiled = _compressed(spoiled, random)
        for size, kept in zip(sizes, pictures, strict=True):
            kept[at] = small(spoiled, size)
    return pictures, labels


def small(picture: Picture, size: Size) -> Picture:
    """Do what the manifest's ``[input]`` says, short of the scale: (h, w, 3) BGR to (height, width, 3) RGB."""
    height, width = picture.shape[:2]
    between = (min(2 * size.width, width), min(2 * size.height, height))
    if between != (width, height):  # as edged does it: averaging a whole frame takes ten times longer
        picture = cv2.resize(picture, between, interpolation=cv2.INTER_NEAREST)
    return cv2.cvtColor(cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def framed(picture: Picture, random: np.random.Generator) -> Picture:
    """Cut a window out of a picture at a camera's shape and resolution, mirror it, and change its colours a little."""
    shape = random.choice([16 / 9, 4 / 3, 1.0, 0.75, 0.55], p=[0.36, 0.26, 0.14, 0.12, 0.12])
    windows = (_window(picture, shape, random) for _ in range(_TRIES))
    seen = next((window for window in windows if _shows_a_scene(window)), picture)
    h, w = seen.shape[:2]
    to = w if chance(random, 0.3) else round(random.uniform(WIDTHS[0], WIDTHS[1 + random.integers(2)]))
    seen = np.ascontiguousarray(seen[:: random.choice([-1, 1], p=[0.2, 0.8]), :: random.choice([-1, 1])])
    shrinking = cv2.INTER_NEAREST if chance(random, 0.25) else cv2.INTER_AREA  # nearest: as crisp as large photographs
    seen = cv2.resize(seen, (to, round(to * h / w)), interpolation=shrinking if to < w else cv2.INTER_CUBIC)
    if chance(random, 0.15):
        seen = cv2.cvtColor(cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    elif chance(random, 0.4):
        seen = np.ascontiguousarray(seen[..., random.permutation(3)])
    gains = random.uniform(0.8, 1.15) * random.uniform(0.85, 1.15, 3)
    return np.clip(seen * gains, 0, 255).astype(np.uint8)


def _window(picture: Picture, shape: float, random: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    w = int(min(width, height * shape) * random.uniform(0.55, 1))
    h = int(w / shape)
    x, y = random.integers(width - w + 1), random.integers(height - h + 1)
    return picture[y : y + h, x : x + w]


def _shows_a_scene(picture: Picture) -> bool:
    """Ask for something in at least two fifths of the view: a bare wall would be ``tilted`` by definition."""
    few = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_AREA).mean(axis=2)
    cells = few.reshape(8, 8, 12, 8).std(axis=(1, 3))
    return bool((cells > _PLAIN).mean() >= _SCENE_SHARE)


def _compressed(picture: Picture, random: np.random.Generator) -> Picture:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(35, 96))])
    return cv2.imdecode(data, cv2.IMREAD_COLOR) if done else picture
