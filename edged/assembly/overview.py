"""The box at one look, as the dashboard shows it: documents that are told anyway, and what pipelines told lately."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from edged.assembly import levels
from edged.assembly.adapters import adapter
from edged.assembly.roster import Roster
from edged.config.schema import Config
from edged.domain.ports import Clock
from edged.domain.result import Anomaly, Classes, Detections, Output, Values
from edged.fleet.outbox import Outbox
from edged.fleet.topics import INVENTORY, MODELS, rfc3339
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop
from edged.telemetry.metrics import gist, rounded

WORDS, EVENTS, POINTS = 6, 30, 240
"""Words of an answer, events, and points of a curve that a page has room for."""
PICTURE_WIDTH, PICTURE_QUALITY = 640, 75
LOOK_S = 2.0
_NS_PER_S, _NS_PER_MS = 1_000_000_000, 1_000_000


class Overview:
    """Called by the server alone. ``governing`` says how the box feels, ``config`` gives the one in force."""

    def __init__(
        self,
        roster: Roster,
        outbox: Outbox,
        config: Callable[[], Config],
        governing: Callable[[], Mapping[str, Any]],
        clock: Clock,
        updates: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    ) -> None:
        """``updates`` gives those that are on their way."""
        self._updates = updates
        self._roster, self._outbox = roster, outbox
        self._config, self._governing, self._clock = config, governing, clock

    def document(self) -> dict[str, Any]:
        """Give everything that the page shows but pictures."""
        now_ns, config, roster = self._clock.monotonic_ns(), self._config(), self._roster
        said = roster.said
        return {
            "schema": "edged.overview/1",
            "device": config.device.id,
            "version": version("edged"),
            "at": rfc3339(self._clock.wall_ns()),
            "online": roster.is_online,
            "health": levels.health(roster.grade, roster.reasons, now_ns, self._clock.wall_ns()),
            "governor": dict(self._governing()),
            "pipelines": [self._pipeline(line, one, now_ns) for line, one in self._pipelines()],
            "inventory": said.get(INVENTORY, {}),
            "models": said.get(MODELS, {}).get("models", []),
            "updates": [dict(one) for one in self._updates()],
            "outbox": asdict(self._outbox.stats()),
        }

    def picture(self, name: str) -> bytes | None:
        """Wait for the next frame of a pipeline, draw what was found into it, and give a JPEG; the last one when none comes.

        None when there is no such pipeline, it gives no pictures, or none came yet. Takes up to ``LOOK_S``.
        """
        found = self._find(name)
        if found is None or found.glance is None:
            return None
        sight = found.glance.take(LOOK_S) or getattr(found.glance, "last", None)
        if sight is None or sight.frame.data.ndim != 3:  # noqa: PLR2004 - height, width, colour
            return None
        return _jpeg(sight.frame.data, sight.result.output, self._zones(name))

    def window(self, name: str) -> dict[str, Any] | None:
        """Give the latest window of a sensor's pipeline, thinned for a plot: one list a channel; None as ``picture``."""
        found = self._find(name)
        if found is None or found.glance is None:
            return None
        sight = found.glance.take(LOOK_S) or getattr(found.glance, "last", None)
        if sight is None or sight.frame.data.ndim != 2:  # noqa: PLR2004 - samples and channels
            return None
        data = sight.frame.data
        picked = data[:: max(1, len(data) // POINTS)]
        return {"channels": [[round(float(value), 5) for value in channel] for channel in np.transpose(picked)]}

    def _pipelines(self) -> Iterator[tuple[Line, Pipeline]]:
        return ((line, one) for line in self._roster.lines() for one in line.pipelines)

    def _find(self, name: str) -> Pipeline | None:
        return next((one for _, one in self._pipelines() if one.name == name), None)

    def _zones(self, name: str) -> Sequence[Any]:
        rules = (rule for one in self._config().pipeline if one.name == name for rule in one.rule)
        return [rule.when.zone for rule in rules if rule.when.zone]

    def _pipeline(self, line: Line, one: Pipeline, now_ns: int) -> dict[str, Any]:
        told = levels.pipelines([line], 0.0, {})[one.name]
        steps, levers, reason = one.worker.steps, one.levers, one.worker.reason
        trail = list(one.glance.trail) if one.glance is not None else []
        return {
            "name": one.name,
            **told,
            "kind": "picture" if one.snapshot is not None else "sensor",
            "model": asdict(steps.model.ref) if isinstance(steps, Loop) else None,
            "reason": reason.message if reason is not None else "",
            "governed": dict(levers.taken()) if levers is not None else {},
            "answer": _words(trail[-1].output, trail[-1].reason) if trail else "",
            "age_s": round((now_ns - trail[-1].mono_ns) / _NS_PER_S, 2) if trail else None,
            "scores": [[round((now_ns - step.mono_ns) / _NS_PER_S, 2), *_score(step.output)] for step in trail],
            "events": [_event(event, now_ns) for event in list(one.glance.events)[-EVENTS:]] if one.glance else [],
            "p95_ms": rounded(one.metrics.stages["total"].quantile(0.95)),
        }


def _event(event: Any, now_ns: int) -> dict[str, Any]:
    return {
        "rule": event.rule,
        "phase": event.phase,
        "ago_s": round((now_ns - event.result.stamp.mono_ns) / _NS_PER_S, 1),
        "saw": _words(event.result.output, event.result.reason),
    }


def _words(output: Output | None, reason: str) -> str:
    """Say an answer in a few words."""
    if output is None:
        return f"unknown: {reason}"
    if isinstance(output, Anomaly):
        return f"{gist(output)}, {output.score:.3g} of {output.threshold:.3g}"
    if isinstance(output, Detections | Classes):
        named = [f"{item.label} {item.score:.2f}" for item in output.items[:WORDS]]
        return ", ".join(named) or "nothing"
    if isinstance(output, Values):
        return ", ".join(f"{item.label} {item.value:.4g}" for item in output.items[:WORDS])
    return gist(output)


def _score(output: Output | None) -> tuple[float | None, float | None]:
    """Give the number that a curve shows, and its limit where there is one."""
    if isinstance(output, Anomaly):
        return round(output.score, 5), round(output.threshold, 5)
    if isinstance(output, Detections):
        return float(len(output.items)), None
    if isinstance(output, Classes) and output.items:
        return round(output.items[0].score, 4), None
    return None, None


def _jpeg(picture: Any, output: Output | None, zones: Sequence[Any]) -> bytes:
    drawing = adapter("edged.sinks.drawing")
    small = drawing.within(picture, PICTURE_WIDTH)
    found: bytes = drawing.jpeg(drawing.drawn(small, output, zones), PICTURE_QUALITY)
    return found
