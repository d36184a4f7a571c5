"""What doctor says of a day that the flight recorder kept."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edgectl.checks import past
from edgectl.checks.rows import Ground, Row
from edged.assembly.box import Box
from edged.assembly.flight import FlightRecorder
from edged.assembly.history_store import HistoryStore
from edged.config.schema import Config
from fakes.box import inventory, profile
from fakes.clock import FakeClock
from fakes.recordedday import BOOT, record


def rows(state: Path, *, history: bool = True) -> dict[str, Row]:
    config = Config.model_validate(
        {"device": {"id": "press-07"}, "state": {"directory": str(state)}, "telemetry": {"history": history}}
    )
    ground = Ground(config, Box(inventory(), profile({"accelerator": "cpu"}), (), is_this_machine=True))
    return {row.check: row for row in past.rows(ground)}


def test_a_night_of_heat_is_a_warning_with_the_command_that_shows_it(tmp_path: Path) -> None:
    record(tmp_path, 3600, time.time_ns())
    found = rows(tmp_path)
    assert {name: row.status for name, row in found.items()} == {"starts": "ok", "pressure": "warn", "broker": "ok"}
    assert found["pressure"].evidence.startswith("the box suffered in ")
    assert found["pressure"].evidence.endswith(" minutes, at most 76 °C")
    assert found["pressure"].remedy.startswith("edgectl history temperature")


def test_a_broker_that_was_away_for_hours_and_a_box_that_starts_again_and_again_are_warnings(tmp_path: Path) -> None:
    clock, up_s = FakeClock(wall=time.time_ns() - 5000 * 10**9), iter(range(10**6))
    recorder = FlightRecorder(
        lambda: {"edged_mqtt_connected": 0, "edged_uptime_seconds": next(up_s) % 1000},
        HistoryStore(tmp_path),
        BOOT,
        clock,
    )
    for _ in range(4990):
        recorder.tick()
        clock.advance(1)
    recorder.keep()
    found = rows(tmp_path)
    assert (found["starts"].status, found["broker"].status) == ("warn", "warn")
    assert found["starts"].evidence.startswith("edged or the box started again 4 times, the last time at ")
    assert found["pressure"].evidence == "the box did not suffer"


@pytest.mark.parametrize(("history", "why"), [(True, "nothing was recorded"), (False, "[telemetry] history is off")])
def test_where_nothing_was_recorded_nothing_is_judged(tmp_path: Path, *, history: bool, why: str) -> None:
    (row,) = rows(tmp_path, history=history).values()
    assert (row.status, row.evidence) == ("skipped", why)
