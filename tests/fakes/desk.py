"""The office of a box that is not connected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edged.assembly.allowance import Allowance
from edged.assembly.office import Beside, FleetOffice
from edged.assembly.orders import Orders
from edged.assembly.roster import Roster
from edged.config.schema import Config
from edged.domain.health import Reason
from edged.fleet.outbox import Outbox
from edged.fleet.topics import Stamper
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox


class Desk:
    """An office that is not connected; ``said`` holds what it would send."""

    def __init__(
        self, state: Path, clock: FakeClock, *, mb_per_day: float | None = None, beside: Beside | None = None
    ) -> None:
        self.clock, self.said = clock, FakeOutbox()
        self.ills: tuple[Reason, ...] = ()
        config = Config.model_validate({"device": {"id": "press-07"}, "state": {"directory": state}})
        stamper = Stamper("boot-1", clock)
        self.outbox = Outbox.open(
            state / "outbox.sqlite3", device="press-07", clock=clock, max_bytes=1 << 20, boot_id="boot-1"
        )
        self.allowance = Allowance(mb_per_day, self.said, state, clock)
        orders = Orders(self.said, stamper, state)
        self.office = FleetOffice(
            config,
            self.outbox,
            stamper,
            clock,
            orders,
            allowance=self.allowance,
            inventory=lambda: {"schema": "edged.inventory/1"},
            models=lambda: {"schema": "edged.models/1"},
            roster=Roster(),
            ills=lambda: self.ills,
            beside=beside,
        )

    def tick(self, seconds: float = 3.0) -> list[dict[str, Any]]:
        """Go on; give the alerts so far."""
        self.clock.advance(seconds)
        self.office.report("ok", (), ())
        return self.said.bodies("alert")
