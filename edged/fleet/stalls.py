"""A disk that stands still or makes nothing durable: told once it is over, too, since nothing leaves the outbox meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edged.fleet.trouble import Trouble

STALL_NS = 5_000_000_000
"""A commit takes 0.1 ms, on a busy SD card up to a second or two."""
TOLD_NS = 600_000_000_000
"""How long afterwards it stays a reason in health."""
REMEDY = "look at the state folder's disk (dmesg): a card that is worn out does this before it fails"


@dataclass(slots=True)
class Stalls:
    """Of one file. Times are nanoseconds on the monotonic clock. Each field has one writer; readers may be slightly late."""

    file: Path
    since_ns: int | None = None
    """When the step began that the disk is busy with."""
    last: tuple[int, int] | None = None
    """When the last long one ended, and how long it took."""
    unflushed: tuple[int, str] | None = None
    """When the disk last failed to make something durable, and its word for it."""

    def begin(self, now_ns: int) -> None:
        """A step begins."""
        self.since_ns = now_ns

    def end(self, now_ns: int) -> None:
        """It is over."""
        since_ns, self.since_ns = self.since_ns, None
        if since_ns is not None and now_ns - since_ns >= STALL_NS:
            self.last = now_ns, now_ns - since_ns

    def failed(self, now_ns: int, error: OSError) -> None:
        """A flush failed."""
        self.unflushed = now_ns, error.strerror or str(error)

    def troubles(self, now_ns: int) -> tuple[Trouble, ...]:
        """Tell of what is so now, and was within the last minutes."""
        found: list[Trouble] = []
        since_ns, last, unflushed = self.since_ns, self.last, self.unflushed
        if since_ns is not None and now_ns - since_ns >= STALL_NS:
            found.append(self._stalled(f"has been standing still for {(now_ns - since_ns) / 1e9:.0f} s"))
        elif last is not None and now_ns - last[0] < TOLD_NS:
            found.append(self._stalled(f"stood still for {last[1] / 1e9:.0f} s"))
        if unflushed is not None and now_ns - unflushed[0] < TOLD_NS:
            message = f"cannot make {self.file} durable: {unflushed[1]}, expected the disk to take it; a power cut may cost documents"
            found.append(Trouble("outbox-not-durable", "outbox", message, REMEDY))
        return tuple(found)

    def _stalled(self, what: str) -> Trouble:
        return Trouble(
            "outbox-stalled", "outbox", f"the disk of {self.file} {what}, expected a commit within a second", REMEDY
        )
