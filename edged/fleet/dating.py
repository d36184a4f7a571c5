"""When the wall clock becomes right, or is set: how everything that was stamped before it is dated. Decisions only."""

from __future__ import annotations

from typing import Any

from edged.domain.ports import Clock
from edged.fleet.topics import rfc3339

STEP_NS = 500_000_000
"""A smaller difference is how far time servers slew a clock without a step (128 ms), and no label is wrong by much."""
_MS = 1_000_000


class Dating:
    """Looks at both clocks now and then. Wall time minus monotonic time, the boot's own moment, moves only when the clock is set."""

    def __init__(self, clock: Clock, *, was_unsynced: bool = False) -> None:
        """``was_unsynced`` says that an earlier run of this boot stamped documents which nobody could date yet."""
        self._clock = clock
        self._boot_ns = self._base_ns()
        self.is_open = was_unsynced or not clock.synced()
        """Whether there are documents that wait to be dated."""

    def look(self) -> dict[str, Any] | None:
        """Give the body of an alert when there is something to tell: the first right time, or a step of a clock that was right."""
        if not self._clock.synced():
            self.is_open = True
            return None
        boot_ns = self._base_ns()
        offset_ns = boot_ns - self._boot_ns
        if not self.is_open and abs(offset_ns) < STEP_NS:
            return None
        what = "was synchronised" if self.is_open else "was set"
        self._boot_ns, self.is_open = boot_ns, False
        return {
            "schema": "edged.alert/1",
            "code": "clock",
            "component": "clock",
            "message": f"the clock {what}: it moved by {offset_ns / 1e9:+.3f} s",
            "remedy": "to date what this boot_id stamped before, add its mono_ms to boot_at",
            "offset_ms": round(offset_ns / _MS),
            "boot_at": rfc3339(boot_ns),
        }

    def _base_ns(self) -> int:
        return self._clock.wall_ns() - self._clock.monotonic_ns()
