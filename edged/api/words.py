"""A decoder's answer in a client's terms: the same document as on MQTT, and one line of plain text an item for a shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edged.api.tensors import BYTES, Tensor
from edged.domain.result import Anomaly, Classes, Detections, Keypoints, Mask, Output, Values, by_kind
from edged.fleet.documents import output_body
from edged.telemetry.jsontext import json_text

ANSWER, TEXT = "answer", "text"
"""The outputs of a decoded request: one element of JSON, and a line an item."""


def answered(output: Output) -> tuple[Tensor, Tensor]:
    """Give the answer as tensors of the protocol: ``answer`` and ``text``, both BYTES."""
    document = json_text(output_body(output), lambda _: None, ensure_ascii=False).encode()
    told = tuple(line.encode() for line in lines(output))
    return Tensor(ANSWER, BYTES, (1,), (document,)), Tensor(TEXT, BYTES, (len(told),), told)


def lines(output: Output) -> list[str]:
    """Give a line for each item: label, score, and where it is."""
    return _LINES[type(output)](output)


def _detections(output: Detections) -> list[str]:
    return [f"{one.label} {one.score:.3f} {' '.join(f'{edge:.4f}' for edge in one.box)}" for one in output.items]


def _classes(output: Classes) -> list[str]:
    return [f"{one.label} {one.score:.3f}" for one in output.items]


def _anomaly(output: Anomaly) -> list[str]:
    return [f"{'anomaly' if output.is_anomaly else 'normal'} {output.score:.6g} {output.threshold:.6g}"]


def _keypoints(output: Keypoints) -> list[str]:
    return [f"{one.label} {one.score:.3f} {one.x:.4f} {one.y:.4f}" for one in output.items]


def _values(output: Values) -> list[str]:
    return [f"{one.label} {one.value:.8g}" for one in output.items]


def _mask(output: Mask) -> list[str]:
    return [f"{one.label} {one.share:.4f}" for one in output.items]


_LINES: Mapping[type[Output], Callable[[Any], list[str]]] = by_kind(
    detections=_detections, classes=_classes, anomaly=_anomaly, keypoints=_keypoints, values=_values, mask=_mask
)
