"""A token bucket whose rate may change. Decisions only: the caller brings the time."""

from __future__ import annotations


class Bucket:
    """Begins with ``level`` tokens. What is taken may exceed what is there: the debt is paid before the next one passes.

    A document that is larger than a whole hour's allowance must pass some day, which it does as soon as there is any
    token at all.
    """

    def __init__(self, level: float, now_ns: int) -> None:
        self.level = level
        self._at_ns = now_ns

    def refill(self, now_ns: int, rate_per_s: float, most: float) -> None:
        """Add what came since the last call, up to ``most``."""
        came = max(0, now_ns - self._at_ns) / 1e9 * rate_per_s
        self._at_ns = now_ns
        self.level = min(most, self.level + came)

    def take(self, amount: float, now_ns: int, rate_per_s: float, most: float, *, above: float = 0.0) -> bool:
        """Take ``amount`` if the level is over ``above``; False when it is not. A debt is bounded by ``most``, too."""
        self.refill(now_ns, rate_per_s, most)
        if self.level <= above:
            return False
        self.level = max(-most, self.level - amount)
        return True
