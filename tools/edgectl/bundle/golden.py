"""Golden samples: a few inputs with the first variant's answers, which a candidate must reproduce on the box before it may run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edgectl.bundle.judge import answers
from edgectl.bundle.samples import Sample
from edged.domain.bundle import Bundle, ImageInput
from edged.domain.result import Anomaly, Classes, Detections, Keypoints, Mask, Output, Values

FOLDER = "golden"
MOST = 8
"""Each is run on the box at every activation; the first answers that differ are enough to refuse."""
NOT_KEPT = frozenset({"track", "then"})
"""What pipelines add to a detection, not models."""


def write_golden(bundle: Bundle, samples: Sequence[Sample]) -> None:
    """Write ``golden/`` below the bundle's folder: at most ``MOST`` of the samples, evenly chosen, and the first variant's answers."""
    places = np.unique(np.linspace(0, len(samples) - 1, MOST).round().astype(int)).tolist()
    chosen = [samples[place] for place in places]
    first = bundle.manifest.variant[0]
    folder = bundle.folder / FOLDER
    folder.mkdir()
    is_image = isinstance(bundle.input_of(first), ImageInput)
    for number, (sample, output) in enumerate(zip(chosen, answers(bundle, first, chosen).outputs, strict=True), 1):
        name = f"{number}-{sample.file.stem}"
        if is_image:
            shutil.copyfile(sample.file, folder / f"{name}{sample.file.suffix}")
        else:
            np.save(folder / f"{name}.npy", sample.frame.data)
        (folder / f"{name}.json").write_text(json.dumps(document(output), indent=1) + "\n", encoding="utf-8")


def document(output: Output) -> dict[str, Any]:
    """Write an answer as golden samples hold it (``edged.update.trial`` reads it)."""
    if isinstance(output, Anomaly):
        return {"anomaly": {"score": output.score, "threshold": output.threshold}}
    items = [{key: value for key, value in asdict(item).items() if key not in NOT_KEPT} for item in output.items]
    if isinstance(output, Mask):
        return {"mask": {"width": output.width, "height": output.height, "box": output.box, "segments": items}}
    return {_KEYS[type(output)]: items}


_KEYS: dict[type[Output], str] = {
    Classes: "classes",
    Detections: "detections",
    Keypoints: "keypoints",
    Values: "values",
}
