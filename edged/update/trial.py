"""The trial: a candidate answers its own golden samples before it may run.

A sample is a picture (``NAME.png`` or another format that the box reads) or a window (``NAME.npy``, (length, channels) float32), with
the float reference's answer beside it in ``NAME.json``: ``{"detections": …}``, ``{"classes": …}`` or ``{"anomaly": …}`` as
results carry them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edged.domain.bundle import Golden
from edged.domain.errors import BundleError
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Anomaly, Classes, ClassScore, Detection, Detections, Output
from edged.domain.tensor import Array

WINDOW_SUFFIX = ".npy"
ANSWER_SUFFIX = ".json"

Answer = Callable[[Frame], Output]
Agrees = Callable[[Output, Output, Golden], "str | None"]
ReadPicture = Callable[[Path], Array]
"""Gives (H, W, 3) uint8 BGR; raises BundleError when the file is no picture."""


def try_golden(folder: Path, golden: Golden, answer: Answer, agrees: Agrees, read_picture: ReadPicture) -> str | None:
    """Give None when ``answer`` reproduces every sample, otherwise the first that it does not, and why.

    Raises BundleError when a sample cannot be read.
    """
    for index, sample in enumerate(_samples(folder / golden.samples)):
        data = np.load(sample, allow_pickle=False) if sample.suffix == WINDOW_SUFFIX else read_picture(sample)
        frame = Frame(data, Stamp(index, 0, 0, 0.0))
        expected = read_answer(sample.with_suffix(ANSWER_SUFFIX))
        got = answer(frame)
        if isinstance(expected, Anomaly) and isinstance(got, Anomaly):
            # The threshold is the bundle's own and may be set anew on site; a sample only knows the score.
            expected = Anomaly(expected.score, got.threshold)
        why = agrees(expected, got, golden)
        if why is not None:
            return f"golden sample {sample.name}: {why}"
    return None


def _samples(folder: Path) -> Iterator[Path]:
    yield from sorted(file for file in folder.iterdir() if file.is_file() and file.suffix != ANSWER_SUFFIX)


def read_answer(file: Path) -> Output:
    """Read the expected answer of a sample. Raises BundleError when it is missing or none."""
    try:
        return _output(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"cannot read golden answer {file.name}: {type(error).__name__}: {error}, expected an answer as results carry it"
        raise BundleError(message, remedy="build the bundle again") from error


def _output(document: Any) -> Output:
    if "detections" in document:
        items = [Detection(item["label"], item["score"], tuple(item["box"])) for item in document["detections"]]
        return Detections(tuple(items))
    if "classes" in document:
        return Classes(tuple(ClassScore(item["label"], item["score"]) for item in document["classes"]))
    anomaly = document["anomaly"]
    return Anomaly(anomaly["score"], anomaly.get("threshold", float("inf")))
