"""The last day, as the flight recorder kept it: how often edged started, how long the box suffered, how long its broker was away."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from edgectl.checks.rows import Ground, Row
from edged.assembly.histories import Past, past
from edged.assembly.history_store import HistoryStore
from edged.control.steps import PRESSED
from edged.telemetry.marks import Mark
from edged.telemetry.panels import PANELS, Panel, exactly

DAY_S, POINTS = 86_400, 1440
"""A point a minute."""
STARTS, AWAY_MIN = 3, 60
"""More starts than these, or a broker that is away for longer, is worth a word."""
BROKER = exactly("edged_mqtt_connected")
LOOKED_AT: tuple[Panel, ...] = (*(one for one in PANELS if one.name in {"temperature", "pressure"}), BROKER)
NS_PER_MS = 1_000_000


def rows(ground: Ground) -> Iterator[Row]:
    """Judge the last day."""
    now_ms = time.time_ns() // NS_PER_MS
    found = past(HistoryStore(ground.config.state.directory), now_ms - DAY_S * 1000, now_ms, POINTS, LOOKED_AT)
    if not found.curves:
        why = "nothing was recorded" if ground.config.telemetry.history else "[telemetry] history is off"
        yield Row("flight recorder", "the last day", "skipped", why)
        return
    yield _starts([one for one in found.marks if one.kind == "start"])
    yield _suffered(found)
    yield _broker(found)


def _starts(marks: list[Mark]) -> Row:
    shown = f"edged or the box started again {len(marks)} times"
    if len(marks) <= STARTS:
        return Row("starts", "the last day", "ok", shown)
    at = time.strftime("%H:%M:%S", time.gmtime(marks[-1].at_ms / 1000))
    return Row(
        "starts", "the last day", "warn", f"{shown}, the last time at {at} UTC", "journalctl -u edged --since -1d"
    )


def _suffered(found: Past) -> Row:
    hottest = max((float(np.nanmax(one.high)) for one in found.curves if one.panel.name == "temperature"), default=None)
    heat = "" if hottest is None else f", at most {hottest:.0f} °C"
    minutes = sum(int((one.high >= PRESSED).sum()) for one in found.curves if one.panel.name == "pressure")
    if not minutes:
        return Row("pressure", "the last day", "ok", f"the box did not suffer{heat}")
    remedy = "edgectl history temperature pressure steps memory --since 1d"
    return Row("pressure", "the last day", "warn", f"the box suffered in {minutes} minutes{heat}", remedy)


def _broker(found: Past) -> Row:
    minutes = sum(int((one.mean == 0).sum()) for one in found.curves if one.panel == BROKER)
    shown = f"it was away for {minutes} minutes" if minutes else "it was never away"
    if minutes < AWAY_MIN:
        return Row("broker", "the last day", "ok", shown)
    return Row("broker", "the last day", "warn", shown, "edgectl history outbox --since 1d; edgectl doctor broker")
