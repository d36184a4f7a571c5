"""A recording to try the detector on: 20 s of a belt with washers, nuts and bolts going by, some of them faulty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from models.parts import shapes
from models.parts.scene import HEIGHT, WIDTH, Placed, Setting, belt, lay, photograph

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FPS = 12
SECONDS = 20.0
SPEED = 168
"""Pixels a second, a whole number a frame: a part crosses the picture in 3.8 s."""
BOLTS = ((2.5, 0.46), (7.0, 0.55), (11.5, 0.42), (16.5, 0.52))
"""When each sound bolt's middle passes the middle of the picture, in seconds, and how far down it lies."""
FAULTY = (
    ("nut", 1.4, 0.72, "bent"), ("washer", 4.4, 0.62, "scratched"), ("bolt", 9.3, 0.28, "bent"),
    ("nut", 13.5, 0.33, "scratched"), ("washer", 15.0, 0.24, "bent"), ("bolt", 18.5, 0.62, "scratched"),
)  # fmt: skip
"""The same of the faulty parts."""
OTHERS = (
    ("washer", 1.0, 0.25), ("nut", 3.9, 0.30), ("nut", 5.6, 0.36), ("washer", 5.9, 0.80), ("nut", 8.6, 0.70),
    ("washer", 10.2, 0.60), ("washer", 13.0, 0.68), ("nut", 14.6, 0.60), ("nut", 18.2, 0.26),
)  # fmt: skip
RUBBISH = ((6.4, 0.55), (12.4, 0.15))

_SETTING = Setting(((84, 88, 80),), (1.0, 1.0), (0.1, 0.1), (2.0, 2.0), (0.5, 0.5), (3.0, 3.0))
_LIGHT = 0.9
_QUALITY = "27"
"""x264's constant rate factor: about a quarter of a megabyte, with nothing lost that the eye would miss."""


def write_video(path: Path, seed: int) -> None:
    """Render the recording as H.264, 640 x 360."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1  # several threads make another file every time
        stream.options = {"crf": _QUALITY, "preset": "slow"}
        for picture in pictures(seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def pictures(seed: int) -> Iterator[NDArray[np.uint8]]:
    """The whole belt is laid out once; the camera sees a window that slides over it."""
    cv2.setRNGSeed(seed)
    random = np.random.default_rng(seed)
    canvas = belt(_SETTING.belts_bgr[0], WIDTH + round(SECONDS * SPEED), random)
    things = [("bolt", *where, "") for where in BOLTS] + [*FAULTY] + [(*one, "") for one in OTHERS]
    things += [("", *where, "") for where in RUBBISH]
    lay(canvas, [_placed(*thing, random) for thing in things], _LIGHT)
    for index in range(round(SECONDS * FPS)):
        left = round(SECONDS * SPEED) - index * SPEED // FPS
        same_light = np.random.default_rng(seed)
        yield photograph(canvas[:, left : left + WIDTH], _SETTING, same_light)


def _placed(kind: str, passes_s: float, down: float, fault: str, random: np.random.Generator) -> Placed:
    item = shapes.part(kind, 1.0, _LIGHT, random, fault) if kind else shapes.clutter(1.0, _LIGHT, random)
    return Placed(item, round(WIDTH / 2 + (SECONDS - passes_s) * SPEED), round(down * HEIGHT))
