"""The office on a box whose clock becomes right late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import SECOND_NS, FakeClock
from fakes.desk import Desk

RIGHT = 1_800_000_000 * SECOND_NS


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
