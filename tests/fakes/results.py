"""Results to order."""

from __future__ import annotations

from collections.abc import Sequence

from edged.domain.frame import Stamp
from edged.domain.result import (
    Anomaly,
    Box,
    Classes,
    ClassScore,
    Detection,
    Detections,
    Latency,
    ModelRef,
    Output,
    Result,
)

MODEL = ModelRef("parts", "1.0.0", "int8", "sha256:" + "0" * 64, "tflite", "cpu")
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def stamp(source_s: float, index: int = 0) -> Stamp:
    return Stamp(index, int(source_s * 1e9), 1_800_000_000_000_000_000 + int(source_s * 1e9), source_s)


def result(output: Output | None, source_s: float = 0.0, reason: str = "engine-lost", index: int = 0) -> Result:
    latency = Latency(1.0, 0.5, 10.0, 0.2)
    if output is None:
        return Result("gate", stamp(source_s, index), MODEL, "unknown", latency, None, reason)
    return Result("gate", stamp(source_s, index), MODEL, "ok", latency, output)


def detections(*labels: str, score: float = 0.9, box: Box = WHOLE) -> Detections:
    return Detections(tuple(Detection(label, score, box) for label in labels))


def classes(*pairs: tuple[str, float]) -> Classes:
    return Classes(tuple(ClassScore(label, score) for label, score in pairs))


def anomaly(score: float, threshold: float = 1.0) -> Anomaly:
    return Anomaly(score, threshold)


def at(outputs: Sequence[Output | None], every_s: float = 1.0) -> list[Result]:
    return [result(output, index * every_s, index=index) for index, output in enumerate(outputs)]
