"""What a variant answers to the judge's pictures, and how often that is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import holdout
import numpy as np
import onnxruntime
from degrade import LABELS
from lessons import small

from models import export, packing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from network import Size
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Case:
    """A picture of the judge: where it is from, what was done to it, and what it must be called."""

    name: str
    label: str
    kind: str
    picture: Picture


def cases(pictures: Iterable[tuple[str, Picture]]) -> list[Case]:
    """Spoil every picture in every way of the judge."""
    return [
        Case(name, label, kind, spoiled)
        for index, (name, picture) in enumerate(pictures)
        for label, kind, spoiled in holdout.judged(picture, index)
    ]


def answers(path: Path, size: Size, judged: list[Case]) -> Scores:
    """Give the file's probabilities for every case, (n, 7), prepared as the manifest's ``[input]`` says."""
    inputs = np.stack([(small(case.picture, size).astype(np.float32) - 127.5) / 127.5 for case in judged])
    if path.suffix == ".tflite":
        return np.stack([given[0][0] for given in export.run_tflite(path, inputs[:, np.newaxis])])
    session = onnxruntime.InferenceSession(str(path))
    planes = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))[:, np.newaxis]
    return np.stack([session.run(None, {"input": one})[0][0] for one in planes])


def right(judged: list[Case], scores: Scores) -> float:
    """Give the share of the cases whose best label is the right one."""
    return float(np.mean(_hits(judged, scores)))


def evaluate(judged: list[Case], given: dict[str, Scores], bytes_of: dict[str, int]) -> list[str]:
    """Write the figures: every variant, every kind of fault, and what is taken for what."""
    hits = {name: _hits(judged, scores) for name, scores in given.items()}
    labels = np.array([case.label for case in judged])
    header = ["variant", "bytes", *LABELS, "all"]
    rows = [
        [name, bytes_of[name], *[float(hit[labels == label].mean()) for label in LABELS], float(hit.mean())]
        for name, hit in hits.items()
    ]
    pictures = len({case.name for case in judged})
    first = next(iter(given))
    intro = (
        f"Share of right answers on {pictures} real pictures, clean and spoiled by `holdout.py`, {len(judged)} in all:"
    )
    return [
        intro, packing.table(header, rows),
        "By what was done to the picture:", _by_kind(judged, hits),
        f"What `{first}` (down) takes it for (across), in pictures:", _confusion(judged, given[first]),
        f"What it got wrong: {_errors(judged, given[first])}.",
    ]  # fmt: skip


def _hits(judged: list[Case], scores: Scores) -> NDArray[np.bool_]:
    return np.array([LABELS[row.argmax()] == case.label for case, row in zip(judged, scores, strict=True)])


def _by_kind(judged: list[Case], hits: dict[str, NDArray[np.bool_]]) -> str:
    """The float and the int8 file of each size."""
    shown = [name for name in hits if name.endswith(("tflite-fp32", "tflite-int8"))]
    kinds = dict.fromkeys((case.label, case.kind) for case in judged)
    of_kind = {kind: np.array([(case.label, case.kind) == kind for case in judged]) for kind in kinds}
    rows = [
        [label, kind.replace("_", " "), *[float(hits[name][of_kind[label, kind]].mean()) for name in shown]]
        for label, kind in kinds
    ]
    return packing.table(["label", "made by", *shown], rows)


def _confusion(judged: list[Case], scores: Scores) -> str:
    told = [LABELS[row.argmax()] for row in scores]
    pairs = [(case.label, answer) for case, answer in zip(judged, told, strict=True)]
    return packing.table(["", *LABELS], [[label, *[pairs.count((label, one)) for one in LABELS]] for label in LABELS])


def _errors(judged: list[Case], scores: Scores) -> str:
    told = [LABELS[row.argmax()] for row in scores]
    wrong = [(case, answer) for case, answer in zip(judged, told, strict=True) if case.label != answer]
    return "; ".join(f"{case.name} {case.kind.replace('_', ' ')}: {answer}" for case, answer in wrong) or "nothing"
