"""A folder of pictures or recordings as the frames that variants are calibrated and judged with."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edged.assembly.adapters import adapter
from edged.domain.bundle import ImageInput, WindowInput
from edged.domain.errors import BundleError, ConfigError
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Classes, ClassScore, Output
from edged.domain.tensor import Array
from edged.update.trial import ANSWER_SUFFIX, read_answer

RECORDINGS = frozenset({".csv", ".npy"})
MAX_SAMPLES = 200
"""More changed no figure where it was measured, and cost time; they are taken evenly from the first to the last."""

ENOUGH = 40
"""Samples; half of fewer would miss extremes that the field brings."""


@dataclass(frozen=True, slots=True)
class Sample:
    """``truth`` is the known answer, where the folder tells one; ``file`` is the picture or the recording that it is of."""

    name: str
    file: Path
    frame: Frame
    truth: Output | None


def read_samples(folder: Path, wanted: ImageInput | WindowInput, labels: Sequence[str]) -> tuple[Sample, ...]:
    """Read pictures, or windows out of recordings, in name order, folders below included.

    A recording is ``.npy`` or ``.csv``, (samples, channels); a first column more than the channels is its time. The truth is an answer as
    golden samples have it beside a picture or a recording of one window (``NAME.json``), or, for a class, the name of the file's folder.

    Raises:
        ConfigError: There is no such folder, or nothing in it that the model takes.
    """
    if not folder.is_dir():
        message = f"cannot read samples from {folder}: it is no folder, expected one with pictures or recordings"
        raise ConfigError(message)
    found = list(_pictures(folder, labels) if isinstance(wanted, ImageInput) else _windows(folder, wanted, labels))
    if not found:
        kind = "pictures" if isinstance(wanted, ImageInput) else f"recordings ({', '.join(sorted(RECORDINGS))})"
        message = (
            f"cannot read samples from {folder}: it holds none, expected {kind} such as the model meets in the field"
        )
        raise ConfigError(message)
    places = np.unique(np.linspace(0, len(found) - 1, MAX_SAMPLES).round().astype(int)).tolist()
    return tuple(found[place] for place in places)


def for_calibration(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Give what ranges are measured on: every second sample where there are enough, so that half of those that judge are new."""
    return samples[::2] if len(samples) >= ENOUGH else samples


def _pictures(folder: Path, labels: Sequence[str]) -> Iterator[Sample]:
    images = adapter("edged.sources.images")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in images.SUFFIXES)
    for index, file in enumerate(files):
        picture: Array = images.read_picture(file)
        yield Sample(file.name, file, Frame(picture, Stamp(index, 0, 0, float(index))), _truth(file, labels))


def _windows(folder: Path, wanted: WindowInput, labels: Sequence[str]) -> Iterator[Sample]:
    index = 0
    for file in sorted(file for file in folder.rglob("*") if file.suffix.lower() in RECORDINGS):
        samples = _recording(file, wanted)
        truth = _truth(file, labels)
        for start in range(0, len(samples) - wanted.length + 1, wanted.stride):
            window = samples[start : start + wanted.length]
            yield Sample(f"{file.name}+{start}", file, Frame(window, Stamp(index, 0, 0, float(index))), truth)
            index += 1


def _recording(file: Path, wanted: WindowInput) -> Array:
    try:
        table = np.load(file, allow_pickle=False) if file.suffix == ".npy" else _csv(file)
    except (OSError, ValueError, EOFError) as error:
        message = f"cannot read recording {file}: {' '.join(str(error).split())[:120]}, expected numbers"
        raise ConfigError(message) from error
    if table.ndim == 1:
        table = table[:, np.newaxis]
    if table.ndim == len("NC") and table.shape[1] == wanted.channels + 1:
        table = table[:, 1:]
    if table.ndim != len("NC") or table.shape[1] != wanted.channels:
        message = f"cannot use recording {file}: its shape is {table.shape}, expected (samples, {wanted.channels})"
        raise ConfigError(message)
    return np.ascontiguousarray(table, np.float32)


def _csv(file: Path) -> Array:
    """Read numbers below at most one line of names; a row that is not whole is left out, as a torn last line is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = np.genfromtxt(file, delimiter=",", dtype=np.float64, invalid_raise=False)
    kept: Array = rows[np.isfinite(rows).all(axis=1)] if rows.ndim == len("NC") else rows[np.isfinite(rows)]
    return kept


def _truth(file: Path, labels: Sequence[str]) -> Output | None:
    answer = file.with_suffix(ANSWER_SUFFIX)
    if answer.exists():
        try:
            return read_answer(answer)
        except BundleError as error:
            raise ConfigError(str(error)) from error
    return Classes((ClassScore(file.parent.name, 1.0),)) if file.parent.name in labels else None
