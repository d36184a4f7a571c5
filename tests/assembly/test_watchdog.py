"""What the real daemon's watchdog counts, with nothing in place of its parts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.assembly.box import Box, survey
from edged.assembly.supply import Supply
from edged.assembly.wiring import build_daemon, load_or_fall_back
from edged.daemon import DEAD, Daemon
from fakes.brokers import free_port
from fakes.clock import FakeClock
from fakes.daemon import write_config
from fakes.sensor import sensor_bundle
from fakes.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Give a daemon whose broker is away; its delivery runs."""
    for name in ("state", "models"):
        (tmp_path / name).mkdir()
    file = write_config(tmp_path, free_port(), "")
    made = build_daemon(file, load_or_fall_back(file)[0])
    made._office.start()
    yield made
    made._office.close(0.1)


def test_a_dead_broker_is_no_reason_to_restart(daemon: Daemon) -> None:
    until(lambda: [reason.component for reason in daemon._office.reasons()] == ["mqtt"], "the link says so")
    assert daemon._office.heartbeats.keys() == {"link", "outbox"}
    assert daemon._stuck() == ()


def test_a_dead_writer_is(daemon: Daemon) -> None:
    daemon._office._outbox.close()  # type: ignore[attr-defined] # behind the office's back
    assert daemon._office.heartbeats["outbox"] == DEAD
    assert [reason.component for reason in daemon._stuck()] == ["outbox"]


@pytest.fixture(scope="module")
def box() -> Box:
    """Give this machine with the shipped profiles."""
    return survey(Path("/"), "auto", ())


def test_a_model_that_is_on_trial_for_minutes_does_not_hold_up_who_asks_what_is_installed(
    tmp_path: Path, box: Box
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, FakeClock())
    told: list[str] = []
    asks = threading.Thread(target=lambda: told.extend(one.model for one in supply.installed().models), daemon=True)

    with supply._lock:
        asks.start()
        asks.join(30)

    assert told == ["level"]


def test_a_model_whose_turn_has_not_come_says_so_until_it_comes(tmp_path: Path, box: Box) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, FakeClock())
    waited, said = threading.Event(), list[bool]()

    def waits() -> None:
        said.append(supply._lock.locked())
        waited.set()

    with supply._lock:
        asks = threading.Thread(target=supply.bundle, args=("level", waits), daemon=True)
        asks.start()
        assert waited.wait(10)
    asks.join(10)

    assert len(said) >= 2
    assert supply.looks == 1
