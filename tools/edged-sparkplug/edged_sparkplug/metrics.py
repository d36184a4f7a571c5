"""Which metrics there are, and what in the box's documents each is: tables of rows, of the node and of each pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edged.domain.errors import EdgedError
from edged.sinks.states import rung_of
from edged_sparkplug.payload import DataType, Value

Document = Mapping[str, Any]
RESULT, TELEMETRY, HEALTH, INVENTORY, MODELS, EVENT = "result", "telemetry", "health", "inventory", "models", "event"
"""Kinds of streams: what stands before the pipeline's name."""


@dataclass(frozen=True, slots=True)
class Row:
    """A metric. ``value`` finds it in a document of ``kind``; of a pipeline's row it is given the pipeline's name, too."""

    name: str
    type: DataType
    kind: str
    value: Callable[[Document, str], Value | None]


def _best(document: Document, key: str) -> Any:
    for kind in ("detections", "classes", "keypoints"):
        found = document.get(kind)
        if found:
            return max(found, key=lambda one: one["score"])[key]
    return None


def _of(pipeline: str, document: Document) -> Document:
    found: Document = document.get("pipelines", {}).get(pipeline, {})
    return found


def _latency(document: Document, pipeline: str, stage: str, quantile: str) -> Value | None:
    value: Value | None = _of(pipeline, document).get("latency_ms", {}).get(stage, {}).get(quantile)
    return value


def _named(rows: Sequence[Document], name: str) -> Document:
    return next((one for one in rows if one.get("name") == name), {})


def _hottest(document: Document, _pipeline: str) -> Value | None:
    found = [one["temp_c"] for one in document.get("readings", {}).get("temperatures", ()) if one["is_compute"]]
    return max(found, default=None)


NODE = (
    Row("Health", DataType.STRING, HEALTH, lambda told, _: told.get("state")),
    Row("Pressure", DataType.STRING, TELEMETRY, lambda told, _: told.get("governor", {}).get("level")),
    Row("Temperature", DataType.DOUBLE, TELEMETRY, _hottest),
    Row("Memory MiB", DataType.DOUBLE, TELEMETRY, lambda told, _: told.get("process", {}).get("memory_mb")),
    Row("Version", DataType.STRING, INVENTORY, lambda told, _: told.get("versions", {}).get("edged")),
)
PIPELINE = (
    Row("State", DataType.STRING, TELEMETRY, lambda told, name: _of(name, told).get("state")),
    Row("Source State", DataType.STRING, TELEMETRY, lambda told, name: _of(name, told).get("source_state")),
    Row("Rate Hz", DataType.DOUBLE, TELEMETRY, lambda told, name: _of(name, told).get("rate_hz")),
    Row("Age ms", DataType.DOUBLE, TELEMETRY, lambda told, name: _latency(told, name, "age", "p50")),
    Row("Latency p99 ms", DataType.DOUBLE, TELEMETRY, lambda told, name: _latency(told, name, "total", "p99")),
    Row("Dropped", DataType.INT64, TELEMETRY, lambda told, name: sum(_of(name, told).get("drops", {}).values())),
    Row("Model", DataType.STRING, INVENTORY, lambda told, name: _named(told.get("pipelines", ()), name).get("model")),
    Row("Rung", DataType.STRING, INVENTORY, rung_of),
    Row("Model Version", DataType.STRING, RESULT, lambda told, _: told["model"]["version"]),
    Row("Result/Status", DataType.STRING, RESULT, lambda told, _: told["status"]),
    Row("Result/Label", DataType.STRING, RESULT, lambda told, _: _best(told, "label")),
    Row("Result/Score", DataType.DOUBLE, RESULT, lambda told, _: _best(told, "score")),
    Row(
        "Result/Count",
        DataType.INT32,
        RESULT,
        lambda told, _: len(told["detections"]) if "detections" in told else None,
    ),
    Row("Result/Anomaly", DataType.BOOLEAN, RESULT, lambda told, _: told.get("anomaly", {}).get("is_anomaly")),
    Row("Result/Anomaly Score", DataType.DOUBLE, RESULT, lambda told, _: told.get("anomaly", {}).get("score")),
    Row(
        "Result/Value",
        DataType.DOUBLE,
        RESULT,
        lambda told, _: told["values"][0]["value"] if told.get("values") else None,
    ),
)
ALIVE = frozenset({"starting", "running", "paused"})


def rule_row(rule: str) -> Row:
    """Give a rule's metric: whether it holds."""
    return Row(f"Rules/{rule}", DataType.BOOLEAN, f"{EVENT}:{rule}", lambda told, _: told["phase"] != "end")


def kinds_of(stream: str, document: Document) -> tuple[str, str]:
    """Give a document's kind, and its pipeline or nothing; no kind for what tells nothing here, such as an event's picture."""
    kind, _, pipeline = stream.partition("/")
    if kind == EVENT:
        kind = f"{EVENT}:{document['rule']}" if document.get("schema") == "edged.event/1" else ""
    return kind, pipeline


def is_alive(document: Document, pipeline: str) -> bool | None:
    """Say whether a pipeline gives anything, as telemetry has it; None when it says nothing of it."""
    figures = _of(pipeline, document)
    if not figures:
        return None
    return figures.get("state") in ALIVE and figures.get("source_state") != "lost"


def found_in(row: Row, document: Document, pipeline: str) -> Value | None:
    """Find a metric's value in the box's own words, which never lack what is looked for; what they lack all the same is null."""
    try:
        value = row.value(document, pipeline)
    except (KeyError, TypeError, ValueError, AttributeError, EdgedError):
        return None
    if value is not None and row.type is DataType.DOUBLE:
        return float(value)
    return value
