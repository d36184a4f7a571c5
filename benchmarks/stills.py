"""Pipelines on cameras that show one picture again and again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2

from edged.domain.tensor import Array

FPS = 10
CAMERA = """
[[source]]
name = "camera-{name}"
kind = "images"
path = "{folder}/pictures"
loop = true
fps = {fps}
[[pipeline]]
name = "{name}"
source = "camera-{name}"
model = "{model}"
{more}
"""


def stills(folder: Path, picture: Array, model: str, pipelines: Mapping[str, str]) -> str:
    """Lay the picture down, (H, W, 3) uint8 BGR; gives the sections. ``pipelines`` has each one's further keys by its name."""
    (folder / "pictures").mkdir()
    cv2.imwrite(str(folder / "pictures" / "a.png"), picture)
    return "".join(
        CAMERA.format(name=name, folder=folder, fps=FPS, model=model, more=more) for name, more in pipelines.items()
    )
