"""The trial: a candidate answers its own golden samples before it may run.

A sample is a picture (``NAME.png`` or another format that the box reads) or a window (``NAME.npy``, (length, channels) float32), with
the float reference's answer beside it in ``NAME.json``: ``{"detections": …}``, ``{"classes": …}``, ``{"anomaly": …}``,
``{"keypoints": …}``, ``{"values": …}`` or ``{"mask": …}`` as results carry them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edged.domain.bundle import Golden
from edged.domain.errors import BundleError, ConfigError, FrameError, SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.result import (
    Anomaly,
    Classes,
    ClassScore,
    Detection,
    Detections,
    Keypoint,
    Keypoints,
    Mask,
    Output,
    Segment,
    Value,
    Values,
)
from edged.domain.tensor import Array

WINDOW_SUFFIX = ".npy"
ANSWER_SUFFIX = ".json"
NUMBERS = "fiu"
"""NumPy's kinds of dtype: float, integer, unsigned."""

Answer = Callable[[Frame], Output]
Agrees = Callable[[Output, Output, Golden], "str | None"]
ReadPicture = Callable[[Path], Array]
"""Gives (H, W, 3) uint8 BGR; raises BundleError when the file is no picture."""


def try_golden(folder: Path, golden: Golden, answer: Answer, agrees: Agrees, read_picture: ReadPicture) -> str | None:
    """Give None when ``answer`` reproduces every sample, otherwise the first that it does not, and why.

    Raises BundleError when a sample cannot be read.
    """
    for index, sample in enumerate(samples_of(folder, golden)):
        why = try_sample(sample, index, golden, answer, agrees, read_picture)
        if why is not None:
            return why
    return None


def try_sample(
    sample: Path, index: int, golden: Golden, answer: Answer, agrees: Agrees, read_picture: ReadPicture
) -> str | None:
    """Give None when ``answer`` reproduces this sample, otherwise why not. Raises BundleError when it cannot be read."""
    data = _read_window(sample) if sample.suffix == WINDOW_SUFFIX else read_picture(sample)
    frame = Frame(data, Stamp(index, 0, 0, 0.0))
    expected = read_answer(sample.with_suffix(ANSWER_SUFFIX))
    try:
        got = answer(frame)
    except (ConfigError, FrameError, SourceLostError) as error:
        # On a live source these are the operator's or the sensor's; here the bundle brought the sample itself.
        return f"golden sample {sample.name}: {error.args[0]}"
    if isinstance(expected, Anomaly) and isinstance(got, Anomaly):
        # The threshold is the bundle's own and may be set anew on site; a sample only knows the score.
        expected = Anomaly(expected.score, got.threshold)
    why = agrees(expected, got, golden)
    return None if why is None else f"golden sample {sample.name}: {why}"


def samples_of(folder: Path, golden: Golden) -> list[Path]:
    """List a bundle's golden samples, without their answers."""
    return list(_samples(folder / golden.samples))


def _samples(folder: Path) -> Iterator[Path]:
    yield from sorted(file for file in folder.iterdir() if file.is_file() and file.suffix != ANSWER_SUFFIX)


def _read_window(file: Path) -> Array:
    try:
        # Mapped first: the header may promise more numbers than the file has, and memory would be taken for all of them.
        window: Array = np.load(file, mmap_mode="r", allow_pickle=False)
        window = np.array(window)
    except (OSError, ValueError, EOFError) as error:
        message = f"cannot read golden sample {file.name}: {error}, expected an array that NumPy wrote"
        raise BundleError(message, remedy="build the bundle again") from error
    if window.dtype.kind not in NUMBERS:
        message = f"cannot use golden sample {file.name}: it holds {window.dtype}, expected numbers"
        raise BundleError(message, remedy="build the bundle again")
    return window


def read_answer(file: Path) -> Output:
    """Read the expected answer of a sample. Raises BundleError when it is missing or none."""
    try:
        text = file.read_text(encoding="utf-8")
        return output_of(json.loads(text, parse_constant=_finite, parse_float=_finite))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"cannot read golden answer {file.name}: {type(error).__name__}: {error}, expected an answer as results carry it"
        raise BundleError(message, remedy="build the bundle again") from error


def output_of(document: Any) -> Output:
    """Read an answer as results carry it. Raises ValueError, KeyError or TypeError when there is none."""
    for key, read in _READERS.items():
        if key in document:
            return read(document[key])
    known = ", ".join(_READERS)
    message = f"no answer stands there, expected one of {known}"
    raise ValueError(message)


def _finite(text: str) -> float:
    """Read a number. Raises ValueError for one that every answer would be held to agree with."""
    number = float(text)
    if not math.isfinite(number):
        message = f"{text} stands there, expected finite numbers"
        raise ValueError(message)
    return number


def _detections(items: Any) -> Output:
    return Detections(tuple(Detection(item["label"], item["score"], tuple(item["box"])) for item in items))


def _classes(items: Any) -> Output:
    return Classes(tuple(ClassScore(item["label"], item["score"]) for item in items))


def _anomaly(told: Any) -> Output:
    return Anomaly(told["score"], told.get("threshold", float("inf")))


def _keypoints(items: Any) -> Output:
    return Keypoints(tuple(Keypoint(item["label"], item["score"], item["x"], item["y"]) for item in items))


def _values(items: Any) -> Output:
    return Values(tuple(Value(item["label"], item["value"]) for item in items))


def _mask(told: Any) -> Output:
    segments = [Segment(item["label"], item["share"], tuple(item["runs"])) for item in told["segments"]]
    if any(sum(segment.runs) > told["width"] * told["height"] for segment in segments):
        message = "the run lengths of a mask are more than its pixels"
        raise ValueError(message)
    return Mask(told["width"], told["height"], tuple(told["box"]), tuple(segments))


_READERS: dict[str, Callable[[Any], Output]] = {
    "detections": _detections,
    "classes": _classes,
    "anomaly": _anomaly,
    "keypoints": _keypoints,
    "values": _values,
    "mask": _mask,
}
