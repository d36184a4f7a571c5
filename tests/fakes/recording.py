"""Small recordings, written where a test wants them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from edged.domain.tensor import Array

WIDTH, HEIGHT = 64, 48


def drawn(index: int) -> Array:
    """Give a picture that differs from all its neighbours."""
    picture = np.full((HEIGHT, WIDTH, 3), index * 5 % 255, np.uint8)
    picture[10:20, index % 40 : index % 40 + 10] = 255
    return picture


def write_video(
    path: Path,
    *,
    frames: int = 20,
    fps: int = 10,
    codec: str = "mpeg4",
    container: str = "mp4",
    options: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=fps)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(frames):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(drawn(index), format="bgr24")))
        output.mux(stream.encode())
    return path


def write_titled(path: Path, title: bytes) -> Path:
    """Write a video whose title is in no alphabet that libav expects."""
    with av.open(str(path), "w", format="matroska") as output:
        output.metadata["title"] = "x" * len(title)
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuv420p"
        for index in range(3):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(drawn(index), format="bgr24")))
        output.mux(stream.encode())
    content = path.read_bytes()
    assert content.count(b"x" * len(title)) == 1
    path.write_bytes(content.replace(b"x" * len(title), title))
    return path


def write_pictures(folder: Path, count: int = 3, suffix: str = ".png") -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:03}{suffix}"), drawn(index))
    return folder


def write_rows(path: Path, rows: list[str]) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return path
