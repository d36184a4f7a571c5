"""Slow sensors that do not exist: rooms, machines and roads with days, weeks, drifts, loads and noise, and what goes wrong with them.

A sensor has no unit and a step has no length: a day may be 12 steps long (of two hours) or 200 (of seven minutes). All arrays are float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HARMONICS = 4
HAVE_DAYS, HAVE_LOADS = 0.75, 0.5
"""Of all sensors."""
YEAR_STEPS = 3000.0
FAULTS = ("shift", "drift", "pulse", "noise")
"""A level that changes and stays, one that moves away, one that comes back, and noise that grows."""


@dataclass(frozen=True, slots=True)
class Sensors:
    """Several at once: each field has a row for each sensor."""

    day_steps: np.ndarray
    day: np.ndarray
    """Cosine and sine of the day's first harmonics: (n, 2, HARMONICS)."""
    weekend: np.ndarray
    """Of the day's swing, what is missing at weekends."""
    year: np.ndarray
    """Where in the year it begins, in radians: the day's swing changes with it."""
    weather: np.ndarray
    """Strength and memory, in steps, of what changes within days: (n, 2)."""
    drift: np.ndarray
    """The same for what changes within weeks."""
    noise: np.ndarray
    loads: np.ndarray
    """How often a step begins a short change of load, which is normal."""

    @staticmethod
    def draw(count: int, chance: np.random.Generator) -> Sensors:
        """Draw sensors of all kinds."""
        falling = np.arange(1, HARMONICS + 1) ** -1.5
        swing = chance.uniform(0.3, 2.0, count) * (chance.random(count) < HAVE_DAYS)
        return Sensors(
            day_steps=np.exp(chance.uniform(np.log(12), np.log(200), count)),
            day=chance.normal(0, 0.7, (count, 2, HARMONICS)) * falling * swing[:, None, None],
            weekend=chance.uniform(0, 0.8, count),
            year=chance.uniform(0, 2 * np.pi, count),
            weather=np.stack(
                [chance.uniform(0.2, 1.2, count), np.exp(chance.uniform(np.log(2), np.log(30), count))], 1
            ),
            drift=np.stack([chance.uniform(0, 1.5, count), np.exp(chance.uniform(np.log(100), np.log(600), count))], 1),
            noise=chance.uniform(0.05, 1.0, count),
            loads=chance.uniform(0, 1 / 75, count) * (chance.random(count) < HAVE_LOADS),
        )


def record(sensors: Sensors, steps: int, chance: np.random.Generator) -> np.ndarray:
    """Let them run without a fault: (n, steps)."""
    count, step = len(sensors.noise), np.arange(steps)
    days = step / sensors.day_steps[:, None]
    angles = 2 * np.pi * days[:, None] * np.arange(1, HARMONICS + 1)[:, None]
    day = np.einsum("nh,nhs->ns", sensors.day[:, 0], np.cos(angles))
    day += np.einsum("nh,nhs->ns", sensors.day[:, 1], np.sin(angles))
    is_weekend = (days + chance.uniform(0, 7, (count, 1))) % 7 < 2  # noqa: PLR2004 - days of seven
    day *= 1 - sensors.weekend[:, None] * is_weekend
    day *= 1 + 0.6 * np.sin(2 * np.pi * step / YEAR_STEPS + sensors.year[:, None])
    return (
        day
        + _wandering(sensors.weather, steps, chance)
        + _wandering(sensors.drift, steps, chance)
        + _loads(sensors.loads, steps, chance)
        + chance.normal(size=(count, steps)) * sensors.noise[:, None]
    )


def _wandering(strength: np.ndarray, steps: int, chance: np.random.Generator) -> np.ndarray:
    """Give a first-order autoregression of unit variance times strength: what is left of a step fades with its memory."""
    keeps = np.exp(-1 / strength[:, 1])
    pushes = chance.normal(size=(steps, len(keeps))) * np.sqrt(1 - keeps**2)
    pushes[0] = chance.normal(size=len(keeps))
    for at in range(1, steps):
        pushes[at] += keeps * pushes[at - 1]
    return pushes.T * strength[:, :1]


def _loads(rates: np.ndarray, steps: int, chance: np.random.Generator) -> np.ndarray:
    """Give those of one to nine steps each, four of five downwards."""
    found = np.zeros((len(rates), steps))
    for row, rate in zip(found, rates, strict=True):
        for start in np.flatnonzero(chance.random(steps) < rate):
            size = chance.uniform(0.5, 2.5) * chance.choice([-1, 1], p=[0.8, 0.2])
            row[start : start + chance.integers(1, 10)] += size
    return found


def fault(kind: str, size: float, length: int, chance: np.random.Generator) -> np.ndarray:
    """Give what a fault adds to a window, (length,): it began in the window or up to a window earlier."""
    step, start = np.arange(length), int(chance.integers(-length, length - 1))
    signed = size * chance.choice([-1, 1])
    if kind == "shift":
        return signed * (step >= start)
    if kind == "drift":
        return signed * np.clip((step - start) / chance.integers(length // 2, 2 * length), 0, 1)
    if kind == "pulse":
        first = int(chance.integers(0, length - 1))
        return signed * ((step >= first) & (step < first + chance.integers(2, length // 2)))
    return 0.7 * size * chance.normal(size=length) * (step >= start)
