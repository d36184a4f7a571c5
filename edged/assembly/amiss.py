"""What is not as it could be of a model that runs: better ones do not open, its objective is not met, a newer one stays out."""

from __future__ import annotations

import logging

from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.telemetry import logs

UNMET = "objective-unmet"
"""The code of what runs although it does not do what is asked of it: nothing else does."""

_LOG = logging.getLogger("edged.keeper")


def lesser(pipeline: str, passed_over: str, unmet: str, clock: Clock) -> Reason | None:
    """Say that better variants do not open, or that what runs does not meet the objective, if so."""
    shows = "edged explain shows the ladder"
    if passed_over:
        message = f"runs a lesser variant since better ones do not open: {passed_over}"
        return Reason("variant-fallback", pipeline, message, clock.monotonic_ns(), shows)
    return Reason(UNMET, pipeline, unmet, clock.monotonic_ns(), shows) if unmet else None


def not_renewed(error: EdgedError, pipeline: str, clock: Clock) -> Reason:
    """Say that the model that runs stays, although another was looked for."""
    logs.event(_LOG, "model.kept", level=logging.WARNING, pipeline=pipeline, error=error)
    message = f"keeps the model that runs: {error.args[0]}"
    return Reason("model-kept", pipeline, message, clock.monotonic_ns(), error.remedy)
