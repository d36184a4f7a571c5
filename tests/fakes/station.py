"""A device on a broker: outbox and link, and what they told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edged.domain.message import Draft
from edged.fleet.backoff import Backoff
from edged.fleet.link import Link, LinkState
from edged.fleet.outbox import Outbox
from edged.fleet.session import Inbound
from edged.fleet.settings import LinkSettings
from fakes.realclock import RealClock
from fakes.waiting import until

QUICK = Backoff(base_s=0.05, cap_s=0.2, slow_s=30.0)


def seqs(payloads: list[bytes]) -> list[int]:
    return [json.loads(payload)["seq"] for payload in payloads]


class Station:
    """One device on one broker."""

    def __init__(
        self, folder: Path, port: int, password_now: Callable[[], str | None] | None = None, **settings: Any
    ) -> None:
        self.states: list[LinkState] = []
        self.inbound: list[Inbound] = []
        self.on_message: Callable[[Inbound], None] = self.inbound.append
        self.outbox = Outbox.open(
            folder / "outbox.sqlite3", device="press-07", clock=RealClock(), max_bytes=16 << 20, boot_id="boot-1"
        )
        wanted = LinkSettings(
            **({"host": "127.0.0.1", "port": port, "device": "press-07", "backoff": QUICK} | settings)
        )
        self.link = Link(
            wanted, self.outbox, RealClock(), self._handle, self._hear, boot_id="boot-1", password=password_now
        )

    def start(self) -> Station:
        self.link.start()
        return self

    def online(self) -> Station:
        self.start()
        until(lambda: self.link.state.phase == "online", f"online: {self.link!r}")
        return self

    def put(self, count: int, stream: str = "result/a", qos: int = 1, size: int = 20) -> None:
        for _ in range(count):
            body = {"schema": "edged.result/1", "boot_id": "boot-1", "pad": "x" * size}
            assert self.outbox.put(Draft(stream, body, qos=qos), wait_s=60)

    def close(self) -> None:
        self.link.stop(3)
        self.outbox.close()

    def _handle(self, message: Inbound) -> None:
        self.on_message(message)

    def _hear(self, state: LinkState) -> None:
        self.states.append(state)


MakeStation = Callable[..., Station]
