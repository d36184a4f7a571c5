"""A broker, an outbox and a link that is online: the daemon's own, in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edged.demo.broker import Broker
from edged.fleet.link import Link
from edged.fleet.outbox import Outbox
from edged.fleet.settings import LinkSettings
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock, boot_id

DEVICE = "bench"
MAX_BYTES = 256 * 1024 * 1024
ONLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Live:
    """What a pipeline's report needs, and the broker's port for whoever wants to listen."""

    outbox: Outbox
    stamper: Stamper
    clock: SystemClock
    port: int
    broker: str


@contextmanager
def live(folder: Path) -> Iterator[Live]:
    """Start all three and stop them in order."""
    broker = Broker(folder)
    clock = SystemClock()
    stamper = Stamper(boot_id(Path("/")), clock)
    outbox = Outbox.open(folder / "outbox.sqlite3", device=DEVICE, clock=clock, max_bytes=MAX_BYTES)
    link = Link(LinkSettings("127.0.0.1", broker.port, DEVICE), outbox, clock, lambda _inbound: None)
    try:
        link.start()
        deadline_s = time.monotonic() + ONLINE_S
        while link.state.phase != "online":
            if time.monotonic() > deadline_s:
                message = f"cannot reach the benchmark's broker: {link!r}, expected it to be online"
                raise RuntimeError(message)
            time.sleep(0.01)
        yield Live(outbox, stamper, clock, broker.port, broker.name)
    finally:
        link.stop(2.0)
        outbox.close()
        broker.close()
