"""The real pictures that judge the networks: all photographs of the reference assets and frames of both recordings.

NumPy and OpenCV only: the tests load this file by its path, and so does the recipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

NO_CAMERA_PICTURES = {
    "9.png": "a drawn digit of 28 x 28 pixels",
    "mnist_nine.bmp": "a drawn digit of 28 x 28 pixels",
    "bird_segmentation_mask.bmp": "numbers of classes, not light",
    "no_person_96.bmp": "fewer pixels than the network's input: enlarged, it is blurred",
    "person_96.bmp": "fewer pixels than the network's input, and its brightness overflowed when it was made",
}
"""What lies beside the photographs and is not judged, with the reason."""
RECORDINGS = ("carving_ice.mp4", "one-by-one-person-detection.mp4")
FRAMES = 8
"""Of each recording, from a twentieth of its length on."""


def pictures(assets: Path) -> Iterator[tuple[str, Picture]]:
    """Give every judged picture with its name, (h, w, 3) uint8 BGR."""
    for file in sorted((assets / "images").iterdir()):
        if file.name not in NO_CAMERA_PICTURES:
            yield file.name, cv2.imread(str(file), cv2.IMREAD_COLOR)
    for name in RECORDINGS:
        yield from _frames(assets / "video" / name)


def _frames(file: Path) -> Iterator[tuple[str, Picture]]:
    recording = cv2.VideoCapture(str(file))
    count = int(recording.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(count // 20, count - 2, FRAMES).astype(int).tolist())
    for at in range(count):
        if not recording.grab():
            break
        if at in wanted:
            yield f"{file.name}:{at}", recording.retrieve()[1]
    recording.release()
