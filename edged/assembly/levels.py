"""The box's word about itself: health, inventory, models, telemetry. Bodies only; what sends them is the office."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from edged.domain.health import Grade, Reason
from edged.domain.variant import Ladder, Rung
from edged.fleet.topics import result_stream, rfc3339
from edged.pipeline.line import Line, Pipeline
from edged.telemetry.metrics import PipelineMetrics

NS_PER_S = 1_000_000_000


def health(grade: Grade, reasons: Sequence[Reason], mono_ns: int, wall_ns: int) -> dict[str, Any]:
    """Say how the box is. ``mono_ns`` and ``wall_ns`` are now; ``since`` is dated from them."""
    return {
        "schema": "edged.health/1",
        "state": grade,
        "reasons": [
            {
                "code": reason.code,
                "component": reason.component,
                "message": reason.message,
                "since": rfc3339(wall_ns - (mono_ns - reason.since_mono_ns)),
                "remedy": reason.remedy,
            }
            for reason in reasons
        ],
    }


def same_health(reasons: Sequence[Reason]) -> tuple[tuple[str, str], ...]:
    """Give what makes two healths the same: a message may carry a count that moves."""
    return tuple(sorted((reason.code, reason.component) for reason in reasons))


def pipelines(
    lines: Sequence[Line], seconds: float, before: Mapping[str, int], thinned: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Any]:
    """Tell of each pipeline since its start, and its rate over the last ``seconds``.

    ``before`` are the results counted then, ``thinned`` the documents that the day's budget held back, by stream.
    """
    return {
        pipeline.name: _pipeline(line, pipeline, seconds, before.get(pipeline.name, 0))
        | {"drops": _drops(line, pipeline, thinned.get(result_stream(pipeline.name), 0))}
        for line in lines
        for pipeline in line.pipelines
    }


def _pipeline(line: Line, pipeline: Pipeline, seconds: float, before: int) -> dict[str, Any]:
    metrics: PipelineMetrics = pipeline.metrics
    return {
        "state": pipeline.worker.state,
        "source": line.feed.name,
        "source_state": line.feed.state.condition,
        "frames": line.feed.frames,
        "results": metrics.results,
        "unknown": metrics.unknown,
        "events": metrics.events,
        "restarts": pipeline.worker.restarts,
        "rate_hz": round(max(0, metrics.results - before) / seconds, 3) if seconds > 0 else None,
        "latency_ms": metrics.latency_ms(),
    }


def _drops(line: Line, pipeline: Pipeline, thinned: int) -> dict[str, int]:
    drops = dict(line.drops()[pipeline.name])
    return {**drops, "thinned": thinned} if thinned else drops


def ladder(ladder: Ladder) -> dict[str, Any]:
    """Write a ladder as ``edged explain --json`` and the inventory carry it."""
    return {
        "model": ladder.model,
        "version": ladder.version,
        "profile": ladder.profile,
        "variants": [_rung(rung) for rung in ladder.rungs],
    }


def _rung(rung: Rung) -> dict[str, Any]:
    variant = rung.variant
    return {
        "id": variant.id,
        "verdict": rung.verdict,
        "reason": rung.reason,
        "runtime": variant.runtime,
        "accelerator": rung.accelerator,
        "precision": variant.precision,
        "threads": rung.threads if rung.verdict != "refused" else None,
        "file": variant.file,
        "sha256": variant.sha256,
        "accuracy": variant.accuracy.model_dump() if variant.accuracy else None,
    }
