"""From what was heard to the source that reads it, as the configuration names it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgectl.entry import made
from edgectl.serial.binary import Frames
from edgectl.serial.judge import Finding
from edgectl.serial.text import Lines, Part
from edgectl.timing import Timing
from edged.config.schema import SerialSource

ROUND = ((1, 0.015), (2, 0.01), (3, 1.0))
"""Digits that a rate is rounded to, when that moves it by no more than this share: sensors are made for round rates."""
STEADY_SAMPLES = 10
"""Fewer tell no rate."""
STEADY_STEPS = 2.0
LEAST_STEADY_MS = 30.0
"""Jitter up to so many steps, or so much, is what USB adapters and busy boxes make of an even rate."""


def source_of(port: Path, finding: Finding, name: str) -> SerialSource:
    """Give the source that reads what was found. Raises ConfigError when the configuration would not take it."""
    setting, form = finding.heard.setting, finding.form
    assert form is not None  # noqa: S101 - only what can be read is suggested
    keys: dict[str, Any] = {
        "name": name,
        "kind": "serial",
        "port": port,
        "baud": setting.baud,
        "data_bits": setting.data_bits,
        "parity": setting.parity,
        "columns": tuple(part.name for part in form.parts if part.use == "channel"),
        "time": next((part.name for part in form.parts if part.use == "time"), None),
    }
    return made(SerialSource, keys | (_of_lines(form) if isinstance(form, Lines) else _of_frames(form)))


def with_rate(source: SerialSource, timing: Timing) -> SerialSource:
    """Add the rate, when samples came at an even one: samples are dated by it, and silence is noticed."""
    rate = rate_hz(timing)
    return source if rate is None else source.model_copy(update={"rate_hz": rate})


def rate_hz(timing: Timing) -> float | None:
    """Give the round rate that samples came at; None when they came now and then."""
    if timing.rate_hz is None or timing.jitter_ms is None or timing.gaps or timing.count < STEADY_SAMPLES:
        return None
    if timing.jitter_ms > max(LEAST_STEADY_MS, STEADY_STEPS * 1000 / timing.rate_hz):
        return None
    return next(
        rounded
        for digits, share in ROUND
        if abs((rounded := float(f"{timing.rate_hz:.{digits}g}")) / timing.rate_hz - 1) <= share
    )


def _of_lines(form: Lines) -> dict[str, Any]:
    keys: dict[str, Any] = {"format": form.format}
    if form.format == "csv":
        keys["delimiter"] = form.delimiter
    if not _is_plain(form.parts):
        kept = [part for part in form.parts if form.format == "csv" or part.use in {"channel", "time"}]
        keys["fields"] = tuple(_field(part) for part in kept)
    return keys


def _of_frames(form: Frames) -> dict[str, Any]:
    fields = tuple({**_field(part), "type": kind} for part, kind in zip(form.parts, form.types, strict=True))
    keys = {"format": "binary", "framing": form.framing, "crc": form.crc, "byte_order": form.order, "fields": fields}
    if form.framing == "records":
        keys |= {"sync": form.sync.hex(), "length": form.length}
    return keys


def _is_plain(parts: Sequence[Part]) -> bool:
    """Whether ``columns`` and ``time`` tell it all: the time first, in seconds, and channels behind it."""
    uses = [part.use for part in parts]
    return set(uses) <= {"channel", "time"} and "time" not in uses[1:] and all(part.scale == 1 for part in parts)


def _field(part: Part) -> dict[str, Any]:
    return {"name": part.name, "scale": part.scale}
