"""A short film of a moving scene, as a camera sends it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, FPS, PICTURES = 1280, 720, 15, 60
CODECS = ("libx264", "mpeg4")
"""H.264, where PyAV's FFmpeg can write it."""
OPTIONS = {"g": str(FPS), "preset": "veryfast", "tune": "zerolatency"}
"""A key frame a second and no pictures out of order: cameras have no time to look ahead."""


def film(clip: Path) -> str:
    """Write the clip; gives its codec."""
    codec = next(name for name in CODECS if name in av.codecs_available)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    with av.open(str(clip), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(FPS), options=OPTIONS if codec == CODECS[0] else {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(PICTURES):
            scene = np.stack([(rows + 3 * index) % 256, (columns + 5 * index) % 256, (rows + columns) % 256], axis=-1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene.astype(np.uint8), format="bgr24")))
        container.mux(stream.encode(None))
    return codec
