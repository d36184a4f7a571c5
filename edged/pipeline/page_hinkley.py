"""The test of Page and Hinkley: a mean that moves adds up, one that only jitters does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edged.domain.tensor import Array

TOLERANCE = 0.5
"""In standard deviations of one sample: half the shift that is looked for, which finds that one soonest (Moustakides, Ann. Statist. 14,
1986). A mean that is off by less never adds up; a finite reference's own is off by some tenth."""


@dataclass(frozen=True, slots=True)
class PageHinkley:
    """Both sums of the test, above their own lowest; 0 before the first value.

    Page, "Continuous Inspection Schemes", Biometrika 41 (1954); Hinkley, Biometrika 58 (1971). The sum above its lowest obeys
    ``s' = max(0, s + x - tolerance)``, so that one number a side is all there is to keep.
    """

    up: float = 0.0
    down: float = 0.0

    def step(self, deviation: float, tolerance: float = TOLERANCE) -> PageHinkley:
        """Take how far the next value is from the mean."""
        return PageHinkley(max(0.0, self.up + deviation - tolerance), max(0.0, self.down - deviation - tolerance))

    def rise(self, deviation: float, tolerance: float = TOLERANCE) -> float:
        """Give the larger sum if the last value made it larger, else 0: what is over must not be held against today."""
        return max(self.up if deviation > tolerance else 0.0, self.down if -deviation > tolerance else 0.0)


def rises(deviations: Array, tolerance: float = TOLERANCE) -> Array:
    """Give ``rise`` along whole streams: (streams, steps) in and out."""
    return np.maximum(_one_side(deviations, tolerance), _one_side(-deviations, tolerance))


def _one_side(deviations: Array, tolerance: float) -> Array:
    total = np.cumsum(deviations - tolerance, axis=1)
    lowest = np.minimum(np.minimum.accumulate(total, axis=1), 0.0)
    side: Array = np.where(deviations > tolerance, total - lowest, 0.0)
    return side
