"""Domain values as the bodies of documents, without a detour through pydantic: this runs once a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from edged.domain.result import (
    Anomaly,
    Box,
    Classes,
    Detections,
    Event,
    Keypoints,
    Latency,
    Mask,
    ModelRef,
    Output,
    Result,
    Values,
    by_kind,
)
from edged.fleet import topics

SCORE_DIGITS = 4
BOX_DIGITS = 5
"""A tenth of a pixel on a picture 10,000 pixels wide."""
LATENCY_DIGITS = 3
SHARE_DIGITS = 5
VALUE_DIGITS = 8
"""Significant ones: float32 holds 7.2."""


def result_body(result: Result, stamper: topics.Stamper) -> dict[str, Any]:
    """Build the body of an edged.result/1; ``device`` and ``seq`` come from the outbox."""
    body = {
        "schema": "edged.result/1",
        "pipeline": result.pipeline,
        **stamper.captured(result.stamp),
        "frame": result.stamp.index,
        "source_s": round(result.stamp.source_s, LATENCY_DIGITS),
        "status": result.status,
        "model": _model(result.model),
        "latency_ms": _latency(result.latency),
    }
    if result.reason:
        body["reason"] = result.reason
    if result.output is not None:
        body.update(_output(result.output))
    return body


def event_body(event: Event, stamper: topics.Stamper) -> dict[str, Any]:
    """Build the body of an edged.event/1: the rule's word, when it was seen first and last, and what was seen."""
    result = event.result
    body = {
        "schema": "edged.event/1",
        "pipeline": event.pipeline,
        **stamper.captured(result.stamp),
        "rule": event.rule,
        "phase": event.phase,
        "since": topics.rfc3339(event.since.wall_ns),
        "until": topics.rfc3339(event.until.wall_ns),
        "duration_s": round(event.until.source_s - event.since.source_s, LATENCY_DIGITS),
        "frame": result.stamp.index,
        "source_s": round(result.stamp.source_s, LATENCY_DIGITS),
        "status": result.status,
        "model": _model(result.model),
    }
    if result.output is not None:
        body.update(_output(result.output))
    return body


def output_body(output: Output) -> dict[str, Any]:
    """Give what a model said, as results carry it."""
    return _output(output)


@lru_cache(maxsize=32)  # one a pipeline's model: the same few come again with every frame
def _model(model: ModelRef) -> Mapping[str, str]:
    return {
        "name": model.name,
        "version": model.version,
        "variant": model.variant,
        "digest": model.digest,
        "runtime": model.runtime,
        "accelerator": model.accelerator,
    }


def _latency(latency: Latency) -> dict[str, float]:
    return {
        "age": round(latency.age_ms, LATENCY_DIGITS),
        "preprocess": round(latency.preprocess_ms, LATENCY_DIGITS),
        "inference": round(latency.inference_ms, LATENCY_DIGITS),
        "postprocess": round(latency.postprocess_ms, LATENCY_DIGITS),
    }


def _detections(output: Detections) -> dict[str, Any]:
    items = []
    for item in output.items:
        told: dict[str, Any] = {"label": item.label, "score": round(item.score, SCORE_DIGITS), "box": _box(item.box)}
        if item.track is not None:
            told["track"] = item.track
        if item.then:
            told["then"] = [{"model": further.model, **_output(further.output)} for further in item.then]
        items.append(told)
    return {"detections": items}


def _box(box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [round(x1, BOX_DIGITS), round(y1, BOX_DIGITS), round(x2, BOX_DIGITS), round(y2, BOX_DIGITS)]


def _classes(output: Classes) -> dict[str, Any]:
    return {"classes": [{"label": item.label, "score": round(item.score, SCORE_DIGITS)} for item in output.items]}


def _anomaly(output: Anomaly) -> dict[str, Any]:
    # Not rounded: the score's scale is the model's own, and score against threshold must say what is_anomaly says.
    return {"anomaly": {"score": output.score, "threshold": output.threshold, "is_anomaly": output.is_anomaly}}


def _keypoints(output: Keypoints) -> dict[str, Any]:
    return {
        "keypoints": [
            {
                "label": item.label,
                "score": round(item.score, SCORE_DIGITS),
                "x": round(item.x, BOX_DIGITS),
                "y": round(item.y, BOX_DIGITS),
            }
            for item in output.items
        ]
    }


def _values(output: Values) -> dict[str, Any]:
    # Significant digits, since a value's unit and size are the model's own.
    return {
        "values": [{"label": item.label, "value": float(f"{item.value:.{VALUE_DIGITS}g}")} for item in output.items]
    }


def _mask(output: Mask) -> dict[str, Any]:
    segments = [
        {"label": item.label, "share": round(item.share, SHARE_DIGITS), "runs": item.runs} for item in output.items
    ]
    return {"mask": {"width": output.width, "height": output.height, "box": _box(output.box), "segments": segments}}


_OUTPUTS: Mapping[type[Output], Callable[[Any], dict[str, Any]]] = by_kind(
    detections=_detections, classes=_classes, anomaly=_anomaly, keypoints=_keypoints, values=_values, mask=_mask
)


def _output(output: Output) -> dict[str, Any]:
    return _OUTPUTS[type(output)](output)
