"""The picture in the README: what the detector finds in the shop that training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.parts import figures, measure
from models.parts.network import LARGE
from models.parts.scene import rendered
from models.parts.settings import OTHER_SHOP
from models.parts.shapes import KINDS, LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.parts.measure import Found

_TILE = (400, 225)
_SOUND_BGR, _FAULTY_BGR = (60, 220, 60), (60, 60, 255)
_STEP = 16
"""Colours are rounded to so many levels' width: the camera's noise would make a file of half a megabyte."""


def write(path: Path, variant: Path, seed: int) -> None:
    """Draw the detections in four pictures, the first that the seed gives: none is picked by how it came out."""
    pictures = [scene.picture for scene in rendered(OTHER_SHOP, 4, seed)]
    tiles = [
        _drawn(one, found)
        for one, found in zip(pictures, figures.found(variant, LARGE, pictures, figures.MIN_SCORE), strict=True)
    ]
    rows = [cv2.hconcat(tiles[:2]), cv2.hconcat(tiles[2:])]
    cv2.imwrite(str(path), cv2.vconcat(rows), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _drawn(picture: NDArray[np.uint8], found: Found) -> NDArray[np.uint8]:
    tile = cv2.resize(picture, _TILE, interpolation=cv2.INTER_AREA)
    tile = tile // _STEP * _STEP + _STEP // 2
    shrink, left, top = measure.letterbox(picture.shape, LARGE)
    scale = _TILE[0] / (picture.shape[1] * shrink)
    for box, label, score in zip(*found, strict=True):
        x1, y1, x2, y2 = np.round((box - (left, top, left, top)) * scale).astype(int).tolist()
        colour = _SOUND_BGR if label < len(KINDS) else _FAULTY_BGR
        cv2.rectangle(tile, (x1, y1), (x2, y2), colour, 1)
        at = (max(x1, 0), y1 - 3 if y1 > 12 else y2 + 11)  # noqa: PLR2004 - a line of text
        cv2.putText(tile, f"{LABELS[label]} {score:.2f}", at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, colour, 1, cv2.LINE_AA)
    return tile
