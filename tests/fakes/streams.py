"""Streams as cameras give them: each value leans on the one before, and the day is in them."""

from __future__ import annotations

import numpy as np

from edged.domain.tensor import Array
from edged.pipeline.drift import Finding, Monitor
from edged.pipeline.drift_learning import Row
from edged.pipeline.traits import Traits

BEGIN_S = 1_800_000_000.0
DAY_S = 86_400.0


def leaning(count: int, rho: float, rng: np.random.Generator) -> Array:
    """Give (count,) of an AR(1) process of mean 0 and deviation 1; ``rho`` is how much each value leans on the one before."""
    values = rng.normal(size=count)
    values[1:] *= np.sqrt(1 - rho**2)
    for place in range(1, count):
        values[place] += rho * values[place - 1]
    return values


def camera(
    days: float, period_s: float, rho: float, rng: np.random.Generator, *, swing: float = 30.0, begin_s: float = BEGIN_S
) -> list[Row]:
    """Give a camera's figures: luma of deviation 10 with ``swing`` between noon and midnight, the others as they come."""
    count = int(days * DAY_S / period_s)
    at_s = begin_s + np.arange(count) * period_s
    day = swing * np.clip(np.sin(2 * np.pi * at_s / DAY_S), -0.5, 0.8)
    luma, contrast, noise = (leaning(count, rho, rng) for _ in range(3))
    seen = rng.poisson(1.5, count)
    return [
        Row(
            float(at_s[k]),
            float(at_s[k]),
            _traits(100 + day[k] + 10 * luma[k], 40 + 4 * contrast[k], noise[k], seen[k]),
        )
        for k in range(count)
    ]


def shifted(rows: list[Row], name: str, by: float) -> list[Row]:
    """Give the rows with a number moved."""
    return [Row(row.wall_s, row.source_s, {**row.traits, name: float(row.traits[name]) + by}) for row in rows]


def watched(monitor: Monitor, rows: list[Row]) -> list[tuple[float, Finding]]:
    """Give what a monitor finds, each with the time of its finding in seconds since the first row."""
    return [
        (row.source_s - rows[0].source_s, finding)
        for row in rows
        for finding in monitor.step(row.source_s, row.wall_s, row.traits)
    ]


def _traits(luma: float, contrast: float, noise: float, seen: int) -> Traits:
    return {
        "input.luma": float(luma),
        "input.contrast": float(contrast),
        "input.noise": float(3 + 0.5 * noise),
        "output.count": float(seen),
        "output.class": "person" if seen > 1 else "car" if seen else "nothing",
    }
