"""The box's word about itself: health, inventory, models, telemetry. Bodies only; what sends them is the office."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from edged.config.schema import Objective
from edged.domain.health import Grade, Reason
from edged.domain.variant import Ladder, Rung
from edged.fleet.topics import result_stream, rfc3339
from edged.pipeline.line import Line, Pipeline
from edged.telemetry.metrics import PipelineMetrics

NS_PER_S = 1_000_000_000
MAX_REASONS, MAX_TEXTS = 24, 24 * 640
"""Of health: with messages, and remedies, of so many characters in all it stays below 128 KiB in any script."""

DOCTOR = "edgectl doctor looks further"
"""What to do where nobody knows better: a reason that ends with what happened leaves people alone with it."""


def health(grade: Grade, reasons: Sequence[Reason], mono_ns: int, wall_ns: int) -> dict[str, Any]:
    """Say how the box is. ``mono_ns`` and ``wall_ns`` are now; ``since`` is dated from them.

    Of very many reasons the first are told and the others counted, and long ones are cut: a document above 128 KiB would tell nothing.
    """
    if len(reasons) > MAX_REASONS:
        left_out = len(reasons) - MAX_REASONS + 1
        more = Reason("more", "edged", f"{left_out} more reasons are left out here", mono_ns, "the log has them all")
        reasons = [*reasons[: MAX_REASONS - 1], more]
    limit = MAX_TEXTS // max(1, len(reasons))
    return {
        "schema": "edged.health/1",
        "state": grade,
        "reasons": [
            {
                "code": reason.code,
                "component": reason.component,
                "message": _short(reason.message, limit),
                "since": rfc3339(wall_ns - (mono_ns - reason.since_mono_ns)),
                "remedy": _short(reason.remedy or DOCTOR, limit),
            }
            for reason in reasons
        ],
    }


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


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


def ladder(ladder: Ladder, objective: Objective) -> dict[str, Any]:
    """Write a ladder as ``edged explain --json`` and the inventory carry it, with what was asked of it."""
    return {
        "model": ladder.model,
        "version": ladder.version,
        "profile": ladder.profile,
        "objective": objective.model_dump(),
        "unmet": ladder.unmet,
        "variants": [_rung(rung) for rung in ladder.told],
    }


def _rung(rung: Rung) -> dict[str, Any]:
    variant = rung.variant
    return {
        "id": variant.id,
        "verdict": rung.verdict,
        "standing": rung.standing,
        "reason": rung.reason,
        "runtime": variant.runtime,
        "accelerator": rung.accelerator,
        "precision": variant.precision,
        "threads": rung.threads if rung.figures or rung.verdict != "refused" else None,
        "file": variant.file,
        "sha256": variant.sha256,
        "accuracy": variant.accuracy.model_dump() if variant.accuracy else None,
        "figures": asdict(rung.figures) if rung.figures else None,
    }
