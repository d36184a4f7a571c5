"""How fast a download may go, and how slow it must not be. The caller brings clock and sleep."""

from __future__ import annotations

import time
from collections.abc import Callable

from edged.domain.errors import RetryableError
from edged.fleet.bucket import Bucket

TRICKLE_BYTES_PER_S = 1024
"""Below this over a whole window a source holds the box up (a slow-retrieval attack, or a line that is as good as dead): 100 MB would
take more than a day."""
WINDOW_NS = 30_000_000_000
_BURST_S = 0.5
"""How much may come at once, in seconds of the rate."""
_NS = 1_000_000_000


class Pace:
    """Called with each piece that came: waits until the next may come, and refuses a trickle. Its own waiting counts for nobody."""

    def __init__(
        self,
        max_bytes_per_s: float | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._now_ns, self._sleep = max_bytes_per_s, now_ns, sleep
        began_ns = now_ns()
        self._bucket = Bucket((max_bytes_per_s or 0.0) * _BURST_S, began_ns)
        self._window_ns, self._came = began_ns, 0

    def came(self, size: int) -> None:
        """Take note of ``size`` bytes. Raises RetryableError, code ``slow-retrieval``."""
        self._came += size
        took_ns = self._now_ns() - self._window_ns
        if took_ns >= WINDOW_NS:
            per_s = self._came * _NS / took_ns
            if per_s < TRICKLE_BYTES_PER_S:
                message = f"cannot download at {per_s:.0f} bytes a second, expected at least {TRICKLE_BYTES_PER_S}"
                raise RetryableError(message, remedy="look at the line, and at who answers", code="slow-retrieval")
            self._window_ns, self._came = self._now_ns(), 0
        if self._rate is not None:
            self._keep_to(self._rate, size)

    def _keep_to(self, rate: float, size: int) -> None:
        most = rate * _BURST_S + size
        self._bucket.take(size, self._now_ns(), rate, most)
        if self._bucket.level <= 0:
            began_ns = self._now_ns()
            self._sleep(-self._bucket.level / rate)
            self._window_ns += self._now_ns() - began_ns
