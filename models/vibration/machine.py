"""What an accelerometer on a motor-driven fan feels: a healthy machine, and seven ways to be ill.

The machine turns four times a second (a large fan, driven by a belt) to 25 times (a four-pole motor on 50 Hz mains) and drives three
blades; it runs in a bearing of known geometry. The sensor sits on the bearing housing: x radial and horizontal, y radial and vertical
(it carries gravity), z axial; in g, 200 samples a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.vibration.bearing import TYPE_6203, TYPE_6205, Bearing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Samples = NDArray[np.floating]
    Faults = Mapping[str, float | Samples]

RATE_HZ = 200

_TURNS_HZ = (4.0, 25.0)
_SLIP = 0.012
"""How far the speed wanders with the load: what an induction motor's slip does between idle and full load."""
_LOAD = 0.2
"""How far the amplitudes wander with the same load."""
_BLADES = 3
_RING_HZ = (45.0, 85.0)
"""Where housings ring when struck."""
_RING_DECAY_S = 0.03
_RATE_JITTER = 0.015
"""Balls slip: the strikes of a damaged bearing come 1 to 2 % early or late (Randall and Antoni 2011, section 2)."""
_FAULT_PER_AXIS = np.array([1.0, 0.8, 0.5])
"""How much of a fault reaches x, y and z."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One fan: what differs from one installation to the next. Amplitudes in g, ``level`` multiplies all but the sensor's ``noise``."""

    turns_hz: float
    bearing: Bearing
    level: float
    residual_imbalance: float
    misalignment: float
    blade_pass: float
    hum: float
    noise: float
    axial: float
    tilt: float
    ring_hz: float

    @staticmethod
    def draw(random: np.random.Generator) -> Machine:
        """Give one of those that are in use: of any size, well or badly mounted, with a coarse or a fine sensor."""
        return Machine(
            turns_hz=random.uniform(*_TURNS_HZ),
            bearing=(TYPE_6203, TYPE_6205)[random.integers(2)],
            level=float(np.exp(random.uniform(np.log(0.2), np.log(1.5)))),
            residual_imbalance=random.uniform(0.03, 0.15),
            misalignment=random.uniform(0.01, 0.06),
            blade_pass=random.uniform(0.01, 0.06),
            hum=random.uniform(0.0, 0.05),
            noise=float(np.exp(random.uniform(np.log(0.001), np.log(0.01)))),
            axial=random.uniform(0.2, 0.6),
            tilt=random.normal(0.0, 0.03),
            ring_hz=random.uniform(*_RING_HZ),
        )


def record(machine: Machine, seconds: float, random: np.random.Generator, faults: Faults | None = None) -> Samples:
    """Run the machine: (n, 3) float32 in g.

    Args:
        machine: The fan.
        seconds: For how long.
        random: Where chance comes from.
        faults: Each fault's severity, constant or sample by sample; 1 is what a technician would feel by hand.
    """
    count = round(seconds * RATE_HZ)
    severity = {name: np.broadcast_to(value, count) for name, value in (faults or {}).items()}
    load = _load(count, random)
    turns = 2 * np.pi * np.cumsum(machine.turns_hz * (1 - _SLIP * load)) / RATE_HZ
    axes = _healthy(machine, turns, 1.0 + 1.6 * severity.pop("imbalance", np.zeros(count)), random)
    for name, strength in severity.items():
        axes += (FAULT_SIGNALS[name](machine, turns, random) * strength)[:, np.newaxis] * _FAULT_PER_AXIS
    axes *= machine.level * (1 + _LOAD * load)[:, np.newaxis]
    axes += random.normal(0.0, machine.noise, axes.shape) + np.array([machine.tilt, 1.0, 0.0])
    return axes.astype(np.float32)


def _healthy(machine: Machine, turns: Samples, imbalance: Samples, random: np.random.Generator) -> Samples:
    first = machine.residual_imbalance * imbalance
    second = machine.misalignment
    phases = random.uniform(0, 2 * np.pi, 4)
    horizontal = first * np.sin(turns + phases[0]) + second * np.sin(2 * turns + phases[1])
    vertical = 0.9 * first * np.cos(turns + phases[0]) + 0.6 * second * np.sin(2 * turns + phases[1] + 1.0)
    blades = machine.blade_pass * np.sin(_BLADES * turns + phases[2])
    # Twice the mains frequency, 100 Hz, lies at the very edge of what is sampled and shows as what a cheap sensor folds back.
    hum = machine.hum * np.sin(2 * np.pi * 99.0 * np.arange(len(turns)) / RATE_HZ + phases[3])
    axial = machine.axial * horizontal + blades
    axes = np.stack([horizontal + 0.3 * blades + hum, vertical + 0.3 * blades + hum, axial], axis=1)
    # Air and bearings rumble at every frequency.
    return np.asarray(axes + random.normal(0.0, 0.02, axes.shape))


def _load(count: int, random: np.random.Generator) -> Samples:
    """The load wanders slowly between -1 and 1."""
    time = np.arange(count) / RATE_HZ
    period_s = random.uniform(10, 40)
    wander = np.sin(2 * np.pi * time / period_s + random.uniform(0, 2 * np.pi))
    return np.asarray(wander * random.uniform(0.2, 1.0))


def _strikes(
    machine: Machine, turns: Samples, per_turn: float, strength: tuple[float, float], random: np.random.Generator
) -> Samples:
    """Strikes so many times a turn, each ringing in the housing and dying away."""
    jitter = np.cumsum(random.normal(0.0, _RATE_JITTER * 2 * np.pi / np.sqrt(RATE_HZ), len(turns)))
    count = np.floor((turns * per_turn + jitter) / (2 * np.pi))
    struck = np.flatnonzero(np.diff(count, prepend=count[0]))
    impulses = np.zeros(len(turns))
    impulses[struck] = random.uniform(*strength, len(struck))
    time = np.arange(round(5 * _RING_DECAY_S * RATE_HZ)) / RATE_HZ
    ringing = np.exp(-time / _RING_DECAY_S) * np.sin(2 * np.pi * machine.ring_hz * time + 0.5)
    return np.convolve(impulses, ringing)[: len(turns)]


def _knocking(machine: Machine, turns: Samples, random: np.random.Generator) -> Samples:
    """A broken cage knocks once its own turn."""
    return _strikes(machine, turns, machine.bearing.ftf, (0.25, 0.40), random)


def _outer_race(machine: Machine, turns: Samples, random: np.random.Generator) -> Samples:
    """A pit in the race that stands: every ball strikes it alike."""
    return _strikes(machine, turns, machine.bearing.bpfo, (0.10, 0.16), random)


def _inner_race(machine: Machine, turns: Samples, random: np.random.Generator) -> Samples:
    """A pit in the race that turns: it is struck hardest while it passes the load."""
    loaded = 0.5 + 0.5 * np.cos(turns + random.uniform(0, 2 * np.pi))
    return _strikes(machine, turns, machine.bearing.bpfi, (0.12, 0.20), random) * loaded


def _ball(machine: Machine, turns: Samples, random: np.random.Generator) -> Samples:
    """A pit in a ball strikes both races, hardest while the cage carries it through the load."""
    loaded = 0.5 + 0.5 * np.cos(machine.bearing.ftf * turns + random.uniform(0, 2 * np.pi))
    return _strikes(machine, turns, 2 * machine.bearing.bsf, (0.12, 0.20), random) * loaded


def _looseness(machine: Machine, turns: Samples, random: np.random.Generator) -> Samples:
    """A loose foot: half orders of the turning speed, their textbook sign."""
    del machine
    phase = random.uniform(0, 2 * np.pi)
    return 0.07 * np.sin(0.5 * turns + phase) + 0.05 * np.sin(1.5 * turns + phase) + 0.03 * np.sin(2.5 * turns)


def _rubbing(machine: Machine, turns: Samples, random: np.random.Generator) -> Samples:
    """A blade that rubs its housing: rough noise during a part of every turn."""
    del machine
    touching = np.clip(np.sin(turns + random.uniform(0, 2 * np.pi)), 0.0, None) ** 2
    return random.normal(0.0, 0.13, len(turns)) * touching


FAULT_SIGNALS = {
    "knocking": _knocking,
    "outer-race": _outer_race,
    "inner-race": _inner_race,
    "ball": _ball,
    "looseness": _looseness,
    "rubbing": _rubbing,
}
FAULTS = ("imbalance", *FAULT_SIGNALS)
