"""Tells that a pipeline goes on with another variant of its model, and why."""

from __future__ import annotations

import logging

from edged.domain.message import Draft
from edged.domain.ports import Outbox
from edged.domain.variant import Rung
from edged.fleet.topics import ALERT, Stamper
from edged.telemetry import logs

CODE = "variant-exchanged"
PRIORITY = 0

_LOG = logging.getLogger("edged.exchange")


def tell_exchange(pipeline: str, outbox: Outbox, stamper: Stamper, before: Rung, now: Rung) -> None:
    """Write it into the log, and tell the fleet."""
    message = f"runs {_words(now)} in place of {_words(before)}: {now.reason}"
    logs.event(_LOG, "model.exchanged", pipeline=pipeline, runs=_words(now), ran=_words(before), reason=now.reason)
    body = {
        "schema": "edged.alert/1",
        "code": CODE,
        "component": pipeline,
        "message": message,
        "remedy": "edged explain shows the ladder; pin a variant in [[pipeline]] to keep it",
    }
    outbox.put(Draft(ALERT, {**body, **stamper.now()}, lane="event", priority=PRIORITY))


def _words(rung: Rung) -> str:
    return f"{rung.variant.id} on {rung.accelerator} with {rung.threads} thread{'' if rung.threads == 1 else 's'}"
