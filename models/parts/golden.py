"""Golden samples: pictures with the float network's answers, a folder for each size of network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models import packing
from models.parts import figures, measure
from models.parts.scene import Setting, rendered
from models.parts.shapes import KINDS, LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from models.parts.measure import Found
    from models.parts.network import Size

CLEAR_SCORES = (0.2, 0.6)
"""No detection lies in between, where the last bits of a runtime would decide."""
PICTURE_SIZE = (320, 180)
_SETTING = Setting(((70, 72, 70), (40, 42, 45), (60, 80, 60), (110, 80, 60)), noise=(0.5, 1.0), parts=(3, 6))


def write(folder: Path, reference: Path, size: Size, seed: int) -> None:
    """Keep three pictures of parts, each with a fault, and one of an empty belt."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [
        cv2.resize(scene.picture, PICTURE_SIZE, interpolation=cv2.INTER_AREA)
        for setting, count in ((_SETTING, 40), (replace(_SETTING, parts=(0, 0)), 10))
        for scene in rendered(setting, count, seed)
    ]
    answers = figures.found(reference, size, pictures, CLEAR_SCORES[0])
    clear = [index for index, (_, _, scores) in enumerate(answers) if (scores > CLEAR_SCORES[1]).all()]
    full = [index for index in clear if len(answers[index][2]) >= 3 and (answers[index][1] >= len(KINDS)).any()]  # noqa: PLR2004 - something of everything
    empty = [index for index in clear if not len(answers[index][2])]
    for name, index in zip(("belt-1", "belt-2", "belt-3", "empty"), [*full[:3], empty[0]], strict=True):
        cv2.imwrite(str(folder / f"{name}.png"), pictures[index], [cv2.IMWRITE_PNG_COMPRESSION, 9])
        packing.write_answer(folder / f"{name}.json", {"detections": as_fractions(answers[index], size)})


def as_fractions(found: Found, size: Size) -> list[dict[str, object]]:
    """Give boxes as fractions of the picture."""
    boxes, labels, scores = found
    shrink, left, top = measure.letterbox(PICTURE_SIZE[::-1], size)
    whole = np.array(PICTURE_SIZE * 2) * shrink
    edges = np.clip((boxes - (left, top, left, top)) / whole, 0, 1)
    return [
        {"label": LABELS[label], "score": round(float(score), 4), "box": [round(float(edge), 4) for edge in box]}
        for box, label, score in zip(edges, labels, scores, strict=True)
    ]
