"""Which threads of delivery the watchdog may believe: a broker that is away is none of its business, a thread that hangs or is gone is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.domain.message import Draft
from edged.fleet.link import Link
from edged.fleet.outbox import Outbox
from edged.fleet.ready import Row
from edged.fleet.settings import LinkSettings
from fakes.broker import FakeBroker
from fakes.brokers import free_port
from fakes.clock import FakeClock
from fakes.station import QUICK, RealClock, Station
from fakes.waiting import until

MINUTE_S = 60


class Gone(Outbox):
    """Ends the thread that claims from it, as a fault that nobody foresaw would."""

    def claim(self, limit: int) -> list[Row]:
        raise SystemExit(limit)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    """Give an outbox whose time stands still."""
    made = Outbox.open(
        tmp_path / "outbox.sqlite3", device="press-07", clock=clock, max_bytes=16 << 20, boot_id="boot-1"
    )
    yield made
    made.close()


def test_a_writer_that_has_nothing_to_do_goes_on_beating(outbox: Outbox, clock: FakeClock) -> None:
    clock.advance(MINUTE_S)
    until(lambda: outbox.heartbeat_ns == clock.monotonic_ns(), "it beats again")


def test_a_writer_that_hangs_in_a_step_beats_no_more_until_the_step_ends(outbox: Outbox, clock: FakeClock) -> None:
    hangs, may_go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        may_go_on.wait()

    outbox.on_ready(hang)
    outbox.put(Draft("event/a", {"schema": "edged.event/1"}))
    assert hangs.wait(60)
    clock.advance(MINUTE_S)

    assert clock.monotonic_ns() - outbox.heartbeat_ns >= MINUTE_S * 1e9
    assert outbox.alive
    may_go_on.set()
    until(lambda: outbox.heartbeat_ns == clock.monotonic_ns(), "it beats again")


def test_a_link_without_a_broker_keeps_its_promises(tmp_path: Path) -> None:
    station = Station(tmp_path, free_port())
    assert not station.link.died
    station.start()
    until(lambda: station.link.state.phase == "waiting", "it waits for its next try")

    assert station.link.heartbeat_ns > RealClock().monotonic_ns()
    assert not station.link.died
    station.close()
    assert not station.link.died


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the fault is the test's own
def test_a_link_whose_thread_is_gone_says_so(tmp_path: Path) -> None:
    broker = FakeBroker()
    gone = Gone.open(tmp_path / "outbox.sqlite3", device="press-07", clock=RealClock(), max_bytes=16 << 20, boot_id="b")
    settings = LinkSettings(host="127.0.0.1", port=broker.port, device="press-07", backoff=QUICK)
    link = Link(settings, gone, RealClock(), lambda _: None, boot_id="b")
    link.start()

    until(lambda: link.died, "its thread has ended")

    link.stop(1)
    gone.close()
    broker.close()
