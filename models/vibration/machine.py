"""What an accelerometer on a motor-driven fan feels: a healthy machine, and four ways to be ill.

The machine: a four-pole induction motor on 50 Hz mains turns 24.2 to 24.8 times a second (25 less the slip under
load) and drives a fan of three blades. The sensor sits on the bearing housing: x radial and horizontal, y radial and
vertical (it carries gravity), z axial; in g, 200 samples a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Samples = NDArray[np.floating]
    Faults = Mapping[str, float | Samples]

RATE_HZ = 200
FAULTS = ("imbalance", "knocking", "looseness", "rubbing")

_TURNS_HZ = (24.2, 24.8)
_BLADES = 3
_NOISE_G = (0.018, 0.024)
_KNOCKS_PER_TURN = 0.4
"""A rolling-element bearing's cage turns at about 0.4 of the shaft's speed; broken, it knocks once its own turn."""
_RING_HZ = 61.0
"""Where the housing rings when struck."""
_RING_DECAY_S = 0.03
_FAULT_PER_AXIS = np.array([1.0, 0.8, 0.5])
"""How much of a fault reaches x, y and z."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One fan: what differs from one installation to the next. Amplitudes in g."""

    residual_imbalance: float
    misalignment: float
    blade_pass: float
    noise: float
    axial: float
    tilt: float

    @staticmethod
    def draw(random: np.random.Generator) -> Machine:
        """Give a machine of the series, within the tolerances of its make."""
        return Machine(
            residual_imbalance=random.uniform(0.09, 0.15),
            misalignment=random.uniform(0.02, 0.05),
            blade_pass=random.uniform(0.03, 0.06),
            noise=random.uniform(*_NOISE_G),
            axial=random.uniform(0.3, 0.5),
            tilt=random.normal(0.0, 0.03),
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
    turns = _turns(count, random)
    axes = _healthy(machine, turns, 1.0 + 1.6 * severity.pop("imbalance", np.zeros(count)), random)
    for name, strength in severity.items():
        axes += (_FAULT_SIGNALS[name](turns, random) * strength)[:, np.newaxis] * _FAULT_PER_AXIS
    return axes.astype(np.float32)


def _healthy(machine: Machine, turns: Samples, imbalance: Samples, random: np.random.Generator) -> Samples:
    first = machine.residual_imbalance * imbalance
    second = machine.misalignment
    phases = random.uniform(0, 2 * np.pi, 3)
    horizontal = first * np.sin(turns + phases[0]) + second * np.sin(2 * turns + phases[1])
    vertical = 0.9 * first * np.cos(turns + phases[0]) + 0.6 * second * np.sin(2 * turns + phases[1] + 1.0)
    blades = machine.blade_pass * np.sin(_BLADES * turns + phases[2])
    axial = machine.axial * horizontal + blades
    axes = np.stack([horizontal + 0.3 * blades, vertical + 0.3 * blades, axial], axis=1)
    axes += random.normal(0.0, machine.noise, axes.shape)
    return axes + np.array([machine.tilt, 1.0, 0.0])


def _turns(count: int, random: np.random.Generator) -> Samples:
    """The shaft's angle: its speed wanders slowly with the load between the limits of slip."""
    low, high = _TURNS_HZ
    period_s = random.uniform(20, 60)
    time = np.arange(count) / RATE_HZ
    wander = np.sin(2 * np.pi * time / period_s + random.uniform(0, 2 * np.pi))
    speed = (low + high) / 2 + wander * (high - low) / 2 * random.uniform(0.2, 1.0)
    return 2 * np.pi * np.cumsum(speed) / RATE_HZ


def _knocking(turns: Samples, random: np.random.Generator) -> Samples:
    """Strikes of a broken cage, each ringing in the housing and dying away."""
    knocks = np.floor(turns * _KNOCKS_PER_TURN / (2 * np.pi))
    struck = np.flatnonzero(np.diff(knocks, prepend=knocks[0]))
    impulses = np.zeros(len(turns))
    impulses[struck] = random.uniform(0.20, 0.32, len(struck))
    time = np.arange(round(5 * _RING_DECAY_S * RATE_HZ)) / RATE_HZ
    ringing = np.exp(-time / _RING_DECAY_S) * np.sin(2 * np.pi * _RING_HZ * time + 0.5)
    return np.convolve(impulses, ringing)[: len(turns)]


def _looseness(turns: Samples, random: np.random.Generator) -> Samples:
    """A loose foot: half orders of the turning speed, their textbook sign."""
    phase = random.uniform(0, 2 * np.pi)
    return 0.07 * np.sin(0.5 * turns + phase) + 0.05 * np.sin(1.5 * turns + phase) + 0.03 * np.sin(2.5 * turns)


def _rubbing(turns: Samples, random: np.random.Generator) -> Samples:
    """A blade that rubs its housing: rough noise during a part of every turn."""
    touching = np.clip(np.sin(turns + random.uniform(0, 2 * np.pi)), 0.0, None) ** 2
    return random.normal(0.0, 0.13, len(turns)) * touching


_FAULT_SIGNALS = {"knocking": _knocking, "looseness": _looseness, "rubbing": _rubbing}
