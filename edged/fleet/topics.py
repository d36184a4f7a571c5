"""The wire contract's names: topics, and the stamps that every document carries. docs/reference/topics.md has them in words."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from edged.domain.frame import Stamp
from edged.domain.ports import Clock

ROOT = "edged/v1"
MAX_DOCUMENT_BYTES = 128 * 1024
"""The contract's bound; what is larger is refused before it gets a number."""

STATUS, HEALTH, INVENTORY, MODELS = "status", "health", "inventory", "models"
ALERT, TELEMETRY, UPDATE, GET, REPLY = "alert", "telemetry", "update", "get", "reply"
STATES = "states"
RETAINED_STREAMS = frozenset({STATUS, HEALTH, INVENTORY, MODELS, STATES})

COMMAND, DESIRED, FILE = "command", "desired", "file"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MS = 1_000_000
ASK_CLOCK_NS = 1_000_000_000


def result_stream(pipeline: str) -> str:
    """Name the stream of a pipeline's results."""
    return f"result/{pipeline}"


def event_stream(pipeline: str) -> str:
    """Name the stream of a pipeline's events."""
    return f"event/{pipeline}"


def out(device: str, stream: str) -> str:
    """Build the topic that a device publishes a stream on."""
    return f"{ROOT}/d/{device}/out/{stream}"


def inbound(device: str, name: str) -> str:
    """Build a topic that a device reads: ``command``, ``desired`` or ``file``."""
    return f"{ROOT}/d/{device}/in/{name}"


def group_desired(group: str) -> str:
    """Build the topic on which a group's orders lie."""
    return f"{ROOT}/g/{group}/in/desired"


def subscriptions(device: str, groups: Iterable[str] = ()) -> tuple[str, ...]:
    """List everything that a device subscribes: its own orders, then its groups' in their order."""
    own = tuple(inbound(device, name) for name in (COMMAND, DESIRED, FILE))
    return own + tuple(group_desired(group) for group in groups)


def is_own_stream(device: str, topic: str) -> str | None:
    """Give the stream when ``topic`` is one that the device may publish on (an MQTT 5 response topic), else None."""
    own = out(device, "")
    stream = topic.removeprefix(own)
    plain = stream and stream != topic and not set("+#\0") & set(stream)
    return stream if plain else None


def rfc3339(wall_ns: int) -> str:
    """Write Unix time as RFC 3339 in UTC with milliseconds, such as ``2026-11-20T23:10:04.120Z``."""
    seconds, rest = divmod(wall_ns // _MS, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def kernel_boot_id(path: Path = _BOOT_ID) -> str:
    """Read the kernel's id of this boot; ``unknown`` where there is none."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class Stamper:
    """Makes the stamps of documents: ``boot_id``, ``at`` or ``captured_at``, ``mono_ms``, ``clock``.

    Whether the clock is right is asked once a second: the system call costs a third of building a whole result. Two threads
    may ask at once, which does no harm.
    """

    __slots__ = ("_ask_at_ns", "_word", "boot_id", "clock")

    def __init__(self, boot_id: str, clock: Clock) -> None:
        self.boot_id, self.clock = boot_id, clock
        self._ask_at_ns, self._word = 0, "unsynced"

    def now(self) -> dict[str, Any]:
        """Stamp a document about this moment."""
        return self._fields("at", self.clock.wall_ns(), self.clock.monotonic_ns())

    def captured(self, stamp: Stamp) -> dict[str, Any]:
        """Stamp a document about what was captured at ``stamp``."""
        return self._fields("captured_at", stamp.wall_ns, stamp.mono_ns)

    def word(self) -> str:
        """Say whether the clock is right now, as documents do."""
        now_ns = self.clock.monotonic_ns()
        if now_ns >= self._ask_at_ns:
            self._ask_at_ns = now_ns + ASK_CLOCK_NS
            self._word = "synced" if self.clock.synced() else "unsynced"
        return self._word

    def _fields(self, name: str, wall_ns: int, mono_ns: int) -> dict[str, Any]:
        return {"boot_id": self.boot_id, name: rfc3339(wall_ns), "mono_ms": mono_ns // _MS, "clock": self.word()}
