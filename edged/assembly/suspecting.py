"""Tells the fleet that an engine answered its golden samples wrong, and which results nobody may trust."""

from __future__ import annotations

from typing import Any

from edged.domain.errors import EngineLostError
from edged.domain.message import Draft
from edged.domain.ports import Outbox
from edged.fleet.topics import ALERT, Stamper, result_stream, rfc3339
from edged.pipeline.selftest import Lie

CODE = "suspect"
REMEDY = "take no decision on these results; look at the accelerator, its power and its cable"
PRIORITY = 0
NS_PER_MS = 1_000_000


def tell_lie(pipeline: str, outbox: Outbox, stamper: Stamper, lie: Lie) -> None:
    """Declare the results since the sample was answered right the last time; without any, nothing has to be taken back."""
    if lie.results:
        body = {"schema": "edged.alert/1", **alert(pipeline, lie), **stamper.now()}
        outbox.put(Draft(ALERT, body, lane="event", priority=PRIORITY))


def alert(pipeline: str, lie: Lie) -> dict[str, Any]:
    """Give the alert's own fields. Every result of the stream whose ``captured_at`` or ``mono_ms`` lies in the range is suspect.

    The outbox adds their numbers, which it gives.
    """
    model = lie.model
    told = {
        "code": CODE,
        "component": pipeline,
        "message": f"{words(lie)}; {lie.results} results since it answered right are suspect",
        "remedy": REMEDY,
    }
    if lie.first is None or lie.last is None:
        return told
    return told | {
        "suspect": {
            "stream": result_stream(pipeline),
            "variant": model.variant,
            "accelerator": model.accelerator,
            "digest": model.digest,
            "results": lie.results,
            "told": lie.told,
            "first_frame": lie.first.index,
            "last_frame": lie.last.index,
            "first_at": rfc3339(lie.first.wall_ns),
            "last_at": rfc3339(lie.last.wall_ns),
            "first_mono_ms": lie.first.mono_ns // NS_PER_MS,
            "last_mono_ms": lie.last.mono_ns // NS_PER_MS,
        }
    }


def words(lie: Lie) -> str:
    """Say what lied, and how."""
    model = lie.model
    return f"{model.name} {model.version} {model.variant} on {model.accelerator} answers wrong: {lie.why}"


def fault(lie: Lie) -> EngineLostError:
    """Give the lie as the reason for which a rung is left alone."""
    return EngineLostError(words(lie), remedy=REMEDY, code=CODE)
