"""What every variant is worth: average precision in both shops, alarms for nothing, parity with the float network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from models import export, packing
from models.parts import measure
from models.parts.network import LARGE, SMALL
from models.parts.scene import UNCLEAR, rendered
from models.parts.settings import OTHER_SHOP, shop
from models.parts.shapes import KINDS, LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from models.parts.measure import Found, Truth
    from models.parts.network import Size
    from models.parts.scene import Scene

PICTURES = 300
MIN_SCORE = 0.4
SIZES = {size.name: size for size in (LARGE, SMALL)}
FILES = ("fp32.tflite", "int8.tflite", "dynamic.tflite", "fp32.onnx", "int8.onnx", "fp16.onnx")
_SAME_PLACE = 0.9
"""The IoU from which a variant's box is the float network's."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One file in one shop: average precision by label, and shares 0..1 at the manifest's ``min_score``."""

    precision: dict[str, float]
    parity: float
    """Of the float network's detections, so many are repeated with the same label and an IoU of 0.9 or more."""
    false_alarms: float
    """Of the sound parts, so many are called faulty."""
    missed: float
    """Of the faulty parts, so many are not called faulty."""

    @property
    def mean(self) -> float:
        """The mAP50."""
        return float(np.mean(list(self.precision.values())))


@dataclass(frozen=True, slots=True)
class Judge:
    """Holds the pictures of one shop, and what the float networks say of them."""

    scenes: list[Scene]
    references: dict[str, list[Found]] = field(default_factory=dict)

    def figures(self, path: Path) -> Figures:
        """Measure a file, ``<size>-<precision>.<runtime>``; the size's ``fp32.onnx`` first."""
        size = SIZES[path.name.partition("-")[0]]
        answers = found(path, size, [scene.picture for scene in self.scenes], 0.01)
        truths = [measure.truth_of(scene, size) for scene in self.scenes]
        reference = self.references.setdefault(size.name, answers)
        precision = {name: measure.average_precision(answers, truths, index) for index, name in enumerate(LABELS)}
        return Figures(precision, _parity(reference, answers), *_faults(answers, truths))


def judges(seed: int) -> dict[str, Judge]:
    """Render both shops: new pictures of the training's settings, and a setting that training never saw."""
    settings = {"same-shop": (shop(seed), seed + 1), "other-shop": (OTHER_SHOP, seed + 6)}
    return {name: Judge(list(rendered(setting, PICTURES, at))) for name, (setting, at) in settings.items()}


def found(path: Path, size: Size, pictures: list[np.ndarray], min_score: float) -> list[Found]:
    """Let a file answer pictures (h, w, 3) uint8 BGR."""
    inputs = [measure.prepared(picture, size) for picture in pictures]
    if path.suffix == ".tflite":
        return [measure.detections(tensors, size, min_score) for tensors in export.run_tflite(path, inputs)]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    planes = (np.ascontiguousarray(one.transpose(0, 3, 1, 2)) for one in inputs)
    return [measure.detections(session.run(None, {"input": one}), size, min_score) for one in planes]


def tables(measured: dict[str, dict[str, Figures]], sizes: dict[str, int]) -> list[str]:
    """Give the figures as Markdown: ``measured`` by shop and variant, ``sizes`` in bytes by variant."""
    said = [f"Average precision at IoU 0.5, {PICTURES} pictures in each shop."]
    for shop_name, figures in measured.items():
        header = ["variant", "bytes", *LABELS, "mAP50", "repeats fp32", "false alarms", "faults missed"]
        rows = [
            [
                name,
                sizes[name],
                *one.precision.values(),
                one.mean,
                *map(_percent, (one.parity, one.false_alarms, one.missed)),
            ]
            for name, one in figures.items()
        ]
        said += [f"The {shop_name.replace('-', ' ')}:", packing.table(header, rows)]
    said.append(
        f'"Repeats fp32": of the float network\'s detections above {MIN_SCORE}, so many come with the same label and an IoU of\n'
        f'{_SAME_PLACE} or more. "False alarms": of the sound parts, so many are called scratched or bent above {MIN_SCORE}; "faults\n'
        'missed": of the scratched and bent ones, so many are not.'
    )
    return said


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _parity(reference: list[Found], others: list[Found]) -> float:
    repeated: list[bool] = []
    for (boxes, labels, scores), (other_boxes, other_labels, other_scores) in zip(reference, others, strict=True):
        sure = other_scores > MIN_SCORE / 2  # one that fell from just above the limit to just below is no other answer
        near = measure.iou(boxes, other_boxes[sure]) >= _SAME_PLACE
        same = labels[:, np.newaxis] == other_labels[sure]
        repeated += list((near & same).any(axis=1)[scores > MIN_SCORE])
    return float(np.mean(repeated))


def _faults(answers: list[Found], truths: list[Truth]) -> tuple[float, float]:
    """Of the sound parts the share called faulty, and of the faulty ones the share that is not."""
    called: dict[bool, list[bool]] = {False: [], True: []}
    for (boxes, labels, scores), (true_boxes, true_labels) in zip(answers, truths, strict=True):
        alarms = boxes[(scores > MIN_SCORE) & (labels >= len(KINDS))]
        alarmed = (measure.iou(true_boxes, alarms) >= measure.ENOUGH).any(axis=1)
        for label, is_called in zip(true_labels, alarmed, strict=True):
            if label != UNCLEAR:
                called[bool(label >= len(KINDS))].append(bool(is_called))
    return float(np.mean(called[False])), 1 - float(np.mean(called[True]))
