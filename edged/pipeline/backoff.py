"""How long to wait before trying again what just failed."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Doubling delays between ``first_s`` and ``limit_s``, each with jitter.

    Jitter keeps a box's cameras, or a fleet behind one switch, from coming back in one burst ("Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015: "equal jitter").
    """

    def __init__(
        self, first_s: float = 0.5, limit_s: float = 30.0, jitter: Callable[[], float] = random.random
    ) -> None:
        """Build it. ``jitter`` gives numbers in 0..1."""
        self.first_s = first_s
        self.limit_s = limit_s
        self.failures = 0
        self._jitter = jitter

    def next_s(self) -> float:
        """Count a failure and give the delay before the next try, in seconds."""
        # An exponent above 16 changes nothing any more; unbounded, it would overflow after a week without a camera.
        full_s = min(self.limit_s, self.first_s * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return max(self.first_s, full_s * (0.5 + 0.5 * self._jitter()))

    def reset(self) -> None:
        """Forget the failures."""
        self.failures = 0
