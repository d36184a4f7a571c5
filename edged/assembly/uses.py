"""How pipelines use a model: what decides which of its variants runs, and how fast it has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edged.config.schema import Config, Objective


@dataclass(frozen=True, slots=True)
class Use:
    """The variant that has to be used, if any, and what one is chosen for. ``latency_ms`` bounds its calls in a trial."""

    pin: str | None = None
    objective: Objective | None = None
    latency_ms: float | None = None


USUAL = (Use(),)
"""Of a model that nobody has named yet."""


def uses_of(config: Config, model: str, meets: Callable[[str | None, Objective], bool]) -> tuple[Use, ...]:
    """Give each use of a model once, the most important pipeline's first; the usual one where no pipeline names it.

    ``meets`` tells whether what runs now meets what is asked for: where it does not, the next release must not fail for that.
    """
    own = [pipeline for pipeline in config.pipeline if pipeline.model == model]
    found = [
        Use(one.pin, one.objective, one.objective.latency_ms if meets(one.pin, one.objective) else None)
        for one in sorted(own, key=lambda pipeline: -pipeline.priority)
    ]
    # What looks at another's findings, or answers requests, is chosen without an objective.
    is_cascaded = any(further.model == model for pipeline in config.pipeline for further in pipeline.then)
    is_served = model in config.serving.models
    usual = [Use()] if is_cascaded or is_served or not found else []
    return tuple(dict.fromkeys([*found, *usual]))
