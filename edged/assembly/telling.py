"""The governor's word: an alert for each step, a reason of health and a line of the inventory for each pipeline that does less."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edged.control.governor import Step
from edged.control.pressure import Signals
from edged.control.steps import WORDS
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.message import Draft
from edged.domain.ports import Outbox
from edged.fleet.topics import ALERT, Stamper
from edged.telemetry import logs

CODE, FAILED = "governor-step", "governor-step-failed"
GOVERNED = "governed"
REMEDY = "it does all of it again once the box is well; [governor] in the configuration turns this off"
PRIORITY = 0

_LOG = logging.getLogger("edged.governing")


class Teller:
    """Writes each step into the log, tells the fleet, and keeps what stands. ``revision`` counts what changed of that.

    Owned by the governor's thread; ``reasons`` and ``standing`` may be called on any.
    """

    def __init__(self, outbox: Outbox, stamper: Stamper) -> None:
        self._outbox, self._stamper = outbox, stamper
        self._reasons: dict[str, Reason] = {}
        self._standing: dict[str, dict[str, Any]] = {}
        self.revision = 0

    def reasons(self) -> Sequence[Reason]:
        """Say which pipelines do less, and why."""
        return tuple(self._reasons.values())

    def standing(self, pipeline: str) -> dict[str, Any] | None:
        """Give level, rung and reason of a pipeline that does less; None of one that does all."""
        return self._standing.get(pipeline)

    def forget(self, but: Collection[str]) -> None:
        """Drop what is known of pipelines that run no more."""
        for name in [name for name in self._standing if name not in but]:
            self._drop(name)

    def follow(self, pipeline: str, taken: Mapping[str, int], words: Mapping[str, str]) -> None:
        """Keep up with levers that moved without a step: the pipeline was set up anew, or can do no longer what it did less of."""
        stood = self._standing.get(pipeline)
        if stood is None or stood["steps"] == dict(taken):
            return
        if taken:
            self._stand(pipeline, taken, words, (stood["level"], stood["cause"], stood["reason"]))
        else:
            self._drop(pipeline)

    def tell(
        self,
        step: Step,
        stands: tuple[str, str],
        signals: Signals,
        taken: Mapping[str, int],
        words: Mapping[str, str],
        error: EdgedError | None = None,
    ) -> None:
        """Tell of a step that was done, or that could not be: ``stands`` is where its lever stood before and stands now."""
        before, after = stands
        way = "less" if step.is_down else "more"
        why = step.why.words or "the box is well"
        message = f"does {way}: {step.kind} from {before} to {after}, since {why}"
        if error is not None:
            message = f"cannot do {way}: {step.kind} {step.after}: {error.args[0]}"
        self._keep(step, taken, words, why)
        logs.event(_LOG, "governor.step", pipeline=step.pipeline, kind=step.kind, says=message)
        body = {
            "schema": "edged.alert/1",
            "code": CODE if error is None else FAILED,
            "component": step.pipeline,
            "message": message,
            "remedy": REMEDY if error is None else error.remedy,
            "step": {"kind": step.kind, "before": before, "after": after, "is_down": step.is_down},
            "level": WORDS[step.why.level],
            "cause": step.why.cause,
            "figures": _figures(signals),
        }
        self._outbox.put(Draft(ALERT, {**body, **self._stamper.now()}, lane="event", priority=PRIORITY))

    def _keep(self, step: Step, taken: Mapping[str, int], words: Mapping[str, str], why: str) -> None:
        if not taken:
            self._drop(step.pipeline)
            return
        felt = WORDS[step.why.level], step.why.cause, why
        stood = self._standing.get(step.pipeline)
        if not step.is_down and stood is not None:
            felt = stood["level"], stood["cause"], stood["reason"]
        self._stand(step.pipeline, taken, words, felt)

    def _stand(
        self, pipeline: str, taken: Mapping[str, int], words: Mapping[str, str], felt: tuple[str, str, str]
    ) -> None:
        level, cause, why = felt
        self._standing[pipeline] = {
            "level": level,
            "cause": cause,
            "reason": why,
            "steps": dict(taken),
            "rung": words["variant"],
            "rate": words["rate"],
        }
        since_ns = self._stamper.clock.monotonic_ns()
        if pipeline in self._reasons:
            since_ns = self._reasons[pipeline].since_mono_ns
        listed = ", ".join(f"{kind} {words[kind]}" for kind in taken)
        self._reasons[pipeline] = Reason(GOVERNED, pipeline, f"does less ({listed}): {why}", since_ns, REMEDY)
        self.revision += 1

    def _drop(self, pipeline: str) -> None:
        if self._standing.pop(pipeline, None) is not None:
            self.revision += 1
        self._reasons.pop(pipeline, None)


def _figures(signals: Signals) -> dict[str, Any]:
    """Give what is known of the signals; the pipelines' by their names."""
    found = {name: value for name, value in asdict(signals).items() if value is not None and name != "services"}
    services = {one.pipeline: {"p95_ms": one.p95_ms, "age_s": one.age_s} for one in signals.services}
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()} | {
        "pipelines": services
    }
