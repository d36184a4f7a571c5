"""The installations that pictures are made up of: for training, for choosing, for judging, for golden samples."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np

from models.parts.scene import Setting

_BELTS = 400
_TINTS = (0.75, 1.25)
"""What ``scene.belt`` makes of a belt's colour at most, channel by channel."""

OTHER_SHOP = Setting(
    belts_bgr=((150, 90, 50), (40, 85, 140), (185, 180, 170), (25, 24, 26)),
    exposure=(0.5, 1.4),
    slope=(0.2, 0.5),
    noise=(4.0, 10.0),
    blur=(0.0, 1.6),
    smear=(1.0, 9.0),
    scale=(0.75, 1.35),
    parts=(2, 11),
    clutter=(2, 8),
)
"""What training never saw: belts of colours that its tints do not reach, worse light, more noise, more on the belt.

Nothing is chosen by it.
"""
CHOOSING_SHOP = replace(OTHER_SHOP, belts_bgr=((60, 120, 60), (120, 60, 110), (150, 160, 175), (45, 38, 30)))
"""As hard, with other belts, which training never saw either: what networks and schedules are chosen by."""


def shop(seed: int) -> Setting:
    """Give the setting of training: belts of all colours but those of the two others."""
    chance = np.random.default_rng(seed)
    belts = (_colour(chance) for _ in range(_BELTS))
    kept = tuple(belt for belt in belts if not any(_reaches(belt, other) for other in _KEPT_BACK))
    return Setting(kept, parts=(3, 10))


_KEPT_BACK = (*OTHER_SHOP.belts_bgr, *CHOOSING_SHOP.belts_bgr)


def _colour(chance: np.random.Generator) -> tuple[int, int, int]:
    """Any hue, rather pale, from nearly black to light grey; blue, green, red."""
    red, green, blue = colorsys.hsv_to_rgb(chance.random(), chance.beta(1.0, 1.6), chance.uniform(0.1, 0.8))
    return round(255 * blue), round(255 * green), round(255 * red)


def _reaches(belt: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    return all(mine * _TINTS[0] <= theirs <= mine * _TINTS[1] for mine, theirs in zip(belt, other, strict=True))
