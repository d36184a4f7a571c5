"""Pictures of the bundle for people: a recording in which a camera suffers everything, and a sheet of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import cv2
import holdout
import numpy as np
from degrade import LABELS
from scenes import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from measure import Case
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

FPS, SECONDS = 5, 3
"""Of the recording: so long every fault lasts, and so long the camera is well before it."""
SCRIPT = ("hand", "underexposed", "glare", "defocused", "ceiling", "broken_file")
SCENE = 6
"""Which of the seed's scenes is recorded: one with people in a street."""
CELL = (118, 80)
COLUMNS = 9
_QUALITY = "27"


def write_demo(path: Path, seed: int) -> None:
    """Render the recording as H.264, 480 x 300: ok and a fault in turn, 3 s each, in the order of ``SCRIPT``."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 480, 300, "yuv420p"
        stream.codec_context.thread_count = 1  # several threads make another file every time
        stream.options = {"crf": _QUALITY, "preset": "slow"}
        for picture in _recorded(seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def write_sheet(path: Path, judged: list[Case], scores: NDArray[np.float32]) -> None:
    """Draw a row of examples for each label, with what the network calls each; wrong answers in red."""
    cv2.setRNGSeed(0)
    random = np.random.default_rng(0)
    rows = []
    for label in LABELS:
        own = [at for at, case in enumerate(judged) if case.label == label]
        shown = sorted(random.choice(own, COLUMNS, replace=False))
        rows.append(np.hstack([_cell(judged[at], scores[at]) for at in shown]))
    few = cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    smooth = cv2.imdecode(few, cv2.IMREAD_COLOR)
    cv2.imwrite(str(path), smooth // 24 * 24, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _recorded(seed: int) -> Iterator[Picture]:
    random = np.random.default_rng(seed)
    scene = [render(random) for _ in range(SCENE + 1)][-1]
    faults = {fault.__name__: fault for kinds in holdout.FAULTS.values() for fault in kinds}
    for index, name in enumerate(SCRIPT):
        for _ in range(FPS * SECONDS):
            yield _grained(scene, random)
        for _ in range(FPS * SECONDS):
            spoiled = faults[name](scene, np.random.default_rng(seed + index))
            yield _grained(spoiled, random)


def _grained(picture: Picture, random: np.random.Generator) -> Picture:
    seen = cv2.resize(picture, (480, 300), interpolation=cv2.INTER_AREA)
    return np.clip(seen + random.normal(0, 1, seen.shape[:2])[..., np.newaxis], 0, 255).astype(np.uint8)


def _cell(case: Case, scores: NDArray[np.float32]) -> Picture:
    cell = np.full((CELL[1], CELL[0], 3), 48, np.uint8)
    height, width = case.picture.shape[:2]
    scale = min(CELL[0] / width, (CELL[1] - 14) / height)
    picture = cv2.resize(case.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    left = (CELL[0] - picture.shape[1]) // 2
    cell[14 : 14 + picture.shape[0], left : left + picture.shape[1]] = picture
    told = LABELS[scores.argmax()]
    ink = (255, 255, 255) if told == case.label else (60, 60, 255)
    cv2.putText(cell, f"{told} {scores.max():.2f}", (3, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.36, ink, 1, cv2.LINE_AA)
    return cell
