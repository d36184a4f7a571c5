"""What a box learns of its own machine from a while of normal running: how its features lie, and which scores are usual.

Values in, values out: ``Gathered`` grows window by window, ``objection`` says what is wrong with it, ``learn`` makes the most of it. Which
windows are normal nobody can tell from them alone: a machine that is faulty all the time is normal to its box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from edged.domain.bundle import Calibration, WindowInput
from edged.domain.tensor import Array

LEAST_WINDOWS = 32
"""Eight for each of the parts that are held against each other: fewer say nothing about spread."""
MOST_NUMBERS = 250_000
"""1 MB, and a second or two of inference at the end on a slow board. What is gathered beyond is thinned to every second window: a long
while is still told by thousands."""
BAD_SHARE = 0.1
"""Of the time without samples, of the windows in which a channel stands still, and of those with values that are no numbers. A lost cable
or a dying sensor is not normal running."""
PARTS = 4
UPPER = 0.75
"""Of a part's scores, in order. The median would not see what lasts for less than half a part, the mean would see a single blow."""
EQUAL = 1e-6
"""A column that varies by less than this of its mean is constant: what is left is the rounding of float32."""
HISTORY_STEPS = 64


@dataclass(frozen=True, slots=True)
class Gathered:
    """Windows so far: ``features`` each (rows, columns) float32. Times are the source's own, in seconds."""

    features: tuple[Array, ...] = ()
    windows: int = 0
    unreadable: int = 0
    """Windows besides those, with values that are no numbers."""
    still: tuple[int, ...] = ()
    """In how many windows each channel did not vary."""
    first_s: float = 0.0
    last_s: float = 0.0
    lost_s: float = 0.0
    steps_s: tuple[float, ...] = ()
    every: int = 1
    """Every so many windows one is kept."""

    def with_window(self, features: Array, window: Array, at_s: float, model_input: WindowInput) -> Gathered:
        """Add one: its features, its samples (length, channels) and its last sample's time. Where time goes backwards it begins anew."""
        if self.windows and at_s <= self.last_s:
            return Gathered().with_window(features, window, at_s, model_input)
        still = np.ptp(window, axis=0) == 0
        if not self.windows:
            first = Gathered(unreadable=self.unreadable, first_s=at_s, last_s=at_s)
            return replace(first, features=(_kept(features),), windows=1, still=tuple(map(int, still)))
        step_s = at_s - self.last_s
        return _thinned(
            replace(
                self,
                features=(*self.features, _kept(features)) if self.windows % self.every == 0 else self.features,
                windows=self.windows + 1,
                still=tuple(before + int(now) for before, now in zip(self.still, still, strict=True)),
                last_s=at_s,
                lost_s=self.lost_s + max(0.0, step_s - self._borne_s(model_input)),
                steps_s=(*self.steps_s[1 - HISTORY_STEPS :], step_s),
            )
        )

    def with_unreadable(self) -> Gathered:
        """Count one that cannot be looked at."""
        return replace(self, unreadable=self.unreadable + 1)

    def seconds(self, model_input: WindowInput) -> float:
        """How long it is from the first window's first sample to the last one's last."""
        return self.last_s - self.first_s + self._window_s(model_input)

    def _window_s(self, model_input: WindowInput) -> float:
        usual_s = float(np.median(self.steps_s)) if self.steps_s else 0.0
        return usual_s * model_input.length / model_input.stride

    def _borne_s(self, model_input: WindowInput) -> float:
        """Give the longest step that may be without a lost sample: after a gap the next window has to fill from nothing."""
        if not self.steps_s:
            return float("inf")
        return float(np.median(self.steps_s)) + self._window_s(model_input)


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Each column's mean and standard deviation: (columns,) float64, none of the latter 0."""

    mean: Array
    std: Array


@dataclass(frozen=True, slots=True)
class Learned:
    """What one while of normal running taught."""

    normalisation: Normalisation
    threshold: float


Score = Callable[[Normalisation, Array], Array]
"""Scores features, (n, rows, columns), as the model does once they are normalised so: (n,)."""


def is_complete(gathered: Gathered, wanted: Calibration, model_input: WindowInput) -> bool:
    """Whether it is as long as was asked for."""
    return bool(gathered.steps_s) and gathered.seconds(model_input) >= wanted.seconds


def objection(gathered: Gathered, model_input: WindowInput) -> str | None:
    """Give why nothing can be learned from it, or None."""
    seconds = gathered.seconds(model_input)
    if gathered.lost_s > BAD_SHARE * seconds:
        return f"{gathered.lost_s:.1f} of {seconds:.1f} s have no samples, expected at most {BAD_SHARE:.0%} without"
    if gathered.unreadable > BAD_SHARE * (gathered.windows + gathered.unreadable):
        return (
            f"{gathered.unreadable} windows hold values that are no numbers, expected at most {BAD_SHARE:.0%} of them"
        )
    for channel, still in enumerate(gathered.still):
        if still > BAD_SHARE * gathered.windows:
            seen = f"channel {channel} stood still in {still} of {gathered.windows} windows"
            return f"{seen}, expected a sensor that varies in {1 - BAD_SHARE:.0%} of them"
    if len(gathered.features) < LEAST_WINDOWS:
        count = len(gathered.features)
        enough_s = ceil(seconds * LEAST_WINDOWS / max(1, count))
        return f"{seconds:.1f} s hold {count} windows, expected at least {LEAST_WINDOWS}: calibrate_s of {enough_s} or more gives them"
    return None


def learn(features: Array, wanted: Calibration, score: Score) -> Learned | str:
    """Learn from features, (n, rows, columns) in the order of time; gives the reason in words where they are not of one kind.

    The scores that make the threshold are honest: each quarter of the while is scored by what the other three taught (cross-validation in
    blocks). Scored by themselves, the windows of a minute lie closer to their own mean than those of the next minute will.
    """
    parts = np.array_split(features, PARTS)
    if wanted.unlike is not None:
        unlike = unlikeness(parts, score)
        if not unlike <= wanted.unlike:
            seen = f"it was not of one kind: one quarter scores {unlike:.3g} by what another taught"
            return f"{seen}, expected at most {wanted.unlike:.3g} of a machine that runs normally all the time"
    scores = [score(normalisation(np.concatenate(parts[:at] + parts[at + 1 :])), parts[at]) for at in range(PARTS)]
    threshold = float(np.quantile(np.concatenate(scores), wanted.quantile)) * wanted.margin
    if not np.isfinite(threshold):
        return f"the normal scores lead to a threshold of {threshold}, expected a number"
    return Learned(normalisation(features), threshold)


def unlikeness(parts: Sequence[Array], score: Score) -> float:
    """Give the highest upper quartile of a part's scores, (n, rows, columns), by what another part alone taught.

    Divided by what so few windows exaggerate: a squared distance from a mean, in units of a standard deviation, both estimated from m
    values of a normal distribution, is (1 + 1/m) times F-distributed with 1 and m - 1 degrees of freedom, of mean (m - 1) / (m - 3).
    """
    highest = 0.0
    for teacher in parts:
        m = len(teacher)
        exaggerated = (1 + 1 / m) * (m - 1) / (m - 3)
        learned = normalisation(teacher)
        scores = [float(np.quantile(score(learned, part), UPPER)) for part in parts if part is not teacher]
        highest = max(highest, max(scores) / exaggerated)
    return highest


def normalisation(features: Array) -> Normalisation:
    """Give each column's mean and standard deviation over (n, rows, columns); a column that does not vary is left in its own unit."""
    columns = features.reshape(-1, features.shape[-1]).astype(np.float64)
    mean, std = columns.mean(axis=0), columns.std(axis=0)
    return Normalisation(mean, np.where(std > EQUAL * np.abs(mean), std, 1.0))


def _thinned(gathered: Gathered) -> Gathered:
    if len(gathered.features) * gathered.features[0].size <= MOST_NUMBERS:
        return gathered
    return replace(gathered, features=gathered.features[::2], every=gathered.every * 2)


def _kept(features: Array) -> Array:
    return features.astype(np.float32)
