"""How training breaks a picture altogether: what sensors, cables and decoders give when they fail; ``degrade.py`` has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from scenes import chance, colour

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Breakage = Callable[[Picture, np.random.Generator], Picture]


def broken(picture: Picture, random: np.random.Generator) -> Picture:
    """Give no picture but snow, lines, torn rows or a decoder's blocks, in all of it or in most."""
    return _KINDS[random.integers(len(_KINDS))](picture, random)


def grain(shape: tuple[int, ...], strength: float) -> NDArray[np.float32]:
    """Draw a sensor's noise, from cv2's own generator, which is several times faster."""
    return cv2.randn(np.empty(shape, np.float32), 0.0, strength)


def clipped(seen: NDArray[np.float32]) -> Picture:
    """Cut to 0..255."""
    return np.clip(seen, 0, 255).astype(np.uint8)


def _snow(picture: Picture, random: np.random.Generator) -> Picture:
    """Snow instead of the picture, or over what can still be guessed of it; sometimes coarse or grey."""
    height, width = picture.shape[:2]
    coarse = random.choice([1, 1, 2, 3])
    specks = grain((height // coarse + 1, width // coarse + 1, 3), random.uniform(55, 130))
    if chance(random, 0.5):
        specks = np.repeat(specks[..., :1], 3, axis=2)
    specks = cv2.resize(specks, None, fx=coarse, fy=coarse, interpolation=cv2.INTER_NEAREST)[:height, :width]
    return clipped(picture * random.uniform(0, 0.7) + random.uniform(20, 140) * random.uniform(0, 1) + specks)


def _blocks(picture: Picture, random: np.random.Generator) -> Picture:
    """A decoder that lost its place: runs of blocks of other places, in wrong colours, or of one coefficient."""
    seen, size = picture.copy(), max(4, round(picture.shape[1] * 2 ** random.uniform(-5.5, -3)))
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    run = int(random.choice([1, 3, 6, 15]))
    wrong = random.random((rows, columns // run + 1)) < random.uniform(0.45, 1)
    tint = random.normal(0, 2 ** random.uniform(5.8, 7.6), (rows, columns // run + 1, 3))
    kind = random.choice([0, 1, 2, 3, 3])
    for row, column in zip(*np.repeat(wrong, run, axis=1)[:, :columns].nonzero(), strict=True):
        y, x = int(row) * size, int(column) * size
        from_y, from_x = random.integers(rows) * size, random.integers(columns) * size
        if kind == 0 or (kind == 1 and chance(random, 0.5)):
            block = picture[from_y : from_y + size, from_x : from_x + size].astype(np.float32)
        elif kind == 2:  # noqa: PLR2004 - the third kind
            block = colour(random, 0, 255) + _wave(size, random)[..., np.newaxis] * random.uniform(0, 120)
        else:
            block = picture[y : y + size, x : x + size] + tint[row, column // run]
        seen[y : y + size, x : x + size] = clipped(block)
    return seen


def _wave(size: int, random: np.random.Generator) -> NDArray[np.float32]:
    x, y = np.arange(size) * random.integers(0, 5) / size, np.arange(size) * random.integers(0, 5) / size
    return np.cos(np.pi * x)[np.newaxis, :] * np.cos(np.pi * y)[:, np.newaxis]


def _torn(picture: Picture, random: np.random.Generator) -> Picture:
    """Every row or band of rows is moved sideways by an amount of its own."""
    height, width = picture.shape[:2]
    band = max(1, round(height * random.choice([0.0, 0.01, 0.03, 0.06])))
    moves = random.normal(0, width * random.uniform(0.08, 0.4), height // band + 1)
    if chance(random, 0.6):  # a wrong length of the rows shears the picture
        moves = np.arange(height // band + 1) * band * 2 ** random.uniform(0, 4.6) * random.choice([-1, 1])
    shift = np.repeat(moves, band)[:height].astype(int)
    columns = (np.arange(width)[np.newaxis, :] - shift[:, np.newaxis]) % width
    seen = picture[np.arange(height)[:, np.newaxis], columns]
    if chance(random, 0.4):  # the planes of colour do not fit either
        seen = np.stack([np.roll(seen[..., at], int(random.normal(0, width * 0.15)), 1) for at in range(3)], axis=2)
    return clipped(seen + grain(seen.shape, random.uniform(0, 30) * random.choice([0, 1])))


def _lines(picture: Picture, random: np.random.Generator) -> Picture:
    """Rows or columns of stray values, as a failing sensor or cable gives them."""
    height, width = picture.shape[:2]
    stray = random.normal(0, random.uniform(65, 130), (height, 1, 3 if chance(random, 0.5) else 1))
    thick = int(random.integers(1, max(2, height // 50) + 1))
    stray = np.repeat(stray, thick, axis=0)[:height]
    if chance(random, 0.4):
        stray = np.repeat(random.normal(0, random.uniform(50, 130), (1, width, 1)), thick, axis=1)[:, :width]
    return clipped(picture * random.uniform(0, 0.7) + 60 + stray + grain(picture.shape, random.uniform(0, 30)))


def _cut_off(picture: Picture, random: np.random.Generator) -> Picture:
    """The data end somewhere in the upper half: from there on one row is repeated, nothing is drawn, or garbage follows."""
    height, width = picture.shape[:2]
    seen, at, kind = picture.copy(), int(height * random.uniform(0.03, 0.5)), random.choice([0, 1, 1, 2])
    if chance(random, 0.4):  # what came before has suffered already
        seen = _blocks(picture, random)
    if kind == 0:
        seen[at:] = seen[at]
    elif kind == 1:
        empty = random.choice(np.array([[128, 128, 128], [0, 135, 0], [0, 0, 0], [128, 128, 128]]))
        seen[at + height // 25 :] = empty
        seen[at:, round(random.uniform(0, width)) :] = empty
    else:
        seen[at:] = random.choice([_snow, _torn, _blocks])(picture, random)[at:]
    return seen


_KINDS: tuple[Breakage, ...] = (_snow, _snow, _blocks, _blocks, _blocks, _torn, _torn, _lines, _cut_off, _cut_off)
"""Some oftener than others: those that take more forms."""
