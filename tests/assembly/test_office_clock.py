"""The office on a box whose clock becomes right late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.assembly.allowance import Allowance
from edged.assembly.office import FleetOffice
from edged.assembly.orders import Orders
from edged.config.schema import Config
from edged.fleet.outbox import Outbox
from edged.fleet.topics import Stamper
from fakes.clock import SECOND_NS, FakeClock
from fakes.outbox import FakeOutbox

RIGHT = 1_800_000_000 * SECOND_NS


class Desk:
    """An office that is not connected; ``said`` holds what it would send."""

    def __init__(self, state: Path, clock: FakeClock) -> None:
        self.clock, self.said = clock, FakeOutbox()
        config = Config.model_validate({"device": {"id": "press-07"}, "state": {"directory": state}})
        stamper = Stamper("boot-1", clock)
        self.outbox = Outbox.open(
            state / "outbox.sqlite3", device="press-07", clock=clock, max_bytes=1 << 20, boot_id="boot-1"
        )
        allowance = Allowance(None, self.said, state, clock)
        orders = Orders(self.said, stamper, state)
        self.office = FleetOffice(
            config,
            self.outbox,
            stamper,
            clock,
            orders,
            allowance=allowance,
            inventory=lambda: {"schema": "edged.inventory/1"},
            models=lambda: {"schema": "edged.models/1"},
        )

    def tick(self, seconds: float = 3.0) -> list[dict[str, Any]]:
        """Go on; give the alerts so far."""
        self.clock.advance(seconds)
        self.office.report("ok", (), ())
        return self.said.bodies("alert")


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Any]:
    made: list[Desk] = []

    def make(clock: FakeClock) -> Desk:
        made.append(Desk(tmp_path, clock))
        return made[-1]

    yield make
    for one in made:
        one.outbox.close()


def test_at_the_first_synchronisation_the_offset_is_told_and_every_level_is_dated_anew(desks: Any) -> None:
    clock = FakeClock(mono=20 * SECOND_NS, wall=30 * SECOND_NS, is_synced=False)
    desk = desks(clock)
    assert desk.tick() == desk.tick() == []
    assert [body["clock"] for body in desk.said.bodies("health")] == ["unsynced"]
    clock.wall, clock.is_synced = RIGHT, True

    (alert,) = desk.tick()

    assert (alert["code"], alert["clock"]) == ("clock", "synced")
    for level in ("health", "inventory", "models"):
        assert [body["clock"] for body in desk.said.bodies(level)] == ["unsynced", "synced"]
    assert len(desk.tick()) == 1


def test_a_restart_between_boot_and_synchronisation_does_not_lose_the_offset(desks: Any, tmp_path: Path) -> None:
    clock = FakeClock(mono=20 * SECOND_NS, wall=30 * SECOND_NS, is_synced=False)
    first = desks(clock)
    first.tick()
    first.outbox.close()
    assert (tmp_path / "clock-unsynced").read_bytes() == b"boot-1"
    clock.wall, clock.is_synced = RIGHT, True

    second = desks(clock)

    assert len(second.tick()) == 1
    assert not (tmp_path / "clock-unsynced").exists()
    assert len(second.tick()) == 1


def test_telemetry_goes_on_at_its_interval_whatever_the_wall_clock_does(desks: Any) -> None:
    clock = FakeClock()
    desk = desks(clock)
    for step in (-86_400.0, 3600.0, -10.0, 1e8):
        clock.step_wall(step)
        before = len(desk.said.bodies("telemetry"))
        desk.tick(10.5)
        assert len(desk.said.bodies("telemetry")) == before + 1
