from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from edged.daemon import DEAD, STUCK_AFTER_S, Daemon, Plan, Wanted
from edged.domain.errors import ConfigError
from edged.domain.health import Grade, Reason
from fakes.clock import FakeClock
from fakes.part import FakeNotifier, FakeOffice, FakePart


def wanted(part: FakePart, settings: str = "as it was") -> Wanted:
    return Wanted(part.name, settings, lambda: part)


@dataclass
class Box:
    plan: Plan | ConfigError
    clock: FakeClock = field(default_factory=FakeClock)
    office: FakeOffice = field(default_factory=FakeOffice)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)

    def __post_init__(self) -> None:
        self.daemon = Daemon(self.make_plan, self.office, self.notifier, self.clock)

    def make_plan(self) -> Plan:
        if isinstance(self.plan, ConfigError):
            raise self.plan
        return self.plan

    def run_until(self, done: Callable[[], bool]) -> None:
        """Tick instead of waiting; ask to stop once ``done``."""
        tick = self.daemon.tick

        def and_stop() -> None:
            tick()
            if done():
                self.daemon.stop()

        self.daemon.tick = and_stop  # type: ignore[method-assign] # the test is the one who stops it
        self.daemon._wake.set()
        self.daemon.run()


def test_it_runs_until_asked_to_stop_and_stops_the_parts_before_the_office() -> None:
    part = FakePart()
    box = Box(Plan((wanted(part),)))
    box.run_until(lambda: bool(box.office.said))
    assert part.calls == ["start", "stop", "join"]
    assert box.office.calls == ["start", "close within 1 s"]


def test_it_ends_by_itself_when_every_source_has_ended_and_everything_was_delivered() -> None:
    box = Box(Plan((wanted(FakePart("a", ended=True)), wanted(FakePart("b", ended=True)))))
    box.daemon.run()
    assert box.office.calls[-1] == "close within 1 s"


@pytest.mark.parametrize(
    ("plan", "delivered"),
    [
        (Plan(()), True),
        (Plan((wanted(FakePart(ended=False)),)), True),
        (Plan((wanted(FakePart(ended=True)),)), False),
        (Plan((wanted(FakePart(ended=True)),), (Reason("config", "gate", "bad", 0),)), True),
    ],
    ids=["nothing to run", "a live source", "something to deliver", "a faulty pipeline"],
)
def test_it_stays_up_while_there_is_something_to_do_or_to_say(plan: Plan, delivered: bool) -> None:
    box = Box(plan, office=FakeOffice(is_delivered=delivered))
    box.daemon.reconcile(plan)
    assert not box.daemon._finished()


def test_systemd_hears_ready_then_the_watchdog_then_stopping() -> None:
    box = Box(Plan((wanted(FakePart()),)))
    box.run_until(lambda: bool(box.office.said))
    keys = [key for sent in box.notifier.sent for key in ("READY", "WATCHDOG", "STOPPING") if key in sent]
    assert keys == ["READY", "WATCHDOG", "STOPPING"]


def test_a_part_that_makes_no_steps_withholds_the_watchdogs_ping_and_is_named() -> None:
    box = Box(Plan(()))
    part = FakePart(heartbeat_ns=box.clock.monotonic_ns())
    box.daemon.reconcile(Plan((wanted(part),)))
    box.clock.advance(STUCK_AFTER_S + 1)
    box.daemon.tick()
    assert "WATCHDOG" not in box.notifier.sent[-1]
    assert "dock: made no step for 21 s" in box.notifier.sent[-1]["STATUS"]
    assert box.office.said == [("degraded", ("stuck",))]


@pytest.mark.parametrize(
    ("thread", "silent_s", "said"),
    [
        ("outbox", STUCK_AFTER_S + 1, "outbox: made no step for 21 s"),
        ("link", STUCK_AFTER_S + 1, "link: made no step for 21 s"),
        ("link", None, "link: its thread has ended"),
    ],
)
def test_a_thread_of_delivery_that_hangs_or_is_gone_withholds_the_ping(
    thread: str, silent_s: float | None, said: str
) -> None:
    box = Box(Plan(()))
    beat = DEAD if silent_s is None else box.clock.monotonic_ns() - int(silent_s * 1e9)
    box.office.heartbeats = {"link": box.clock.monotonic_ns(), "outbox": box.clock.monotonic_ns(), thread: beat}
    box.daemon.tick()
    assert "WATCHDOG" not in box.notifier.sent[-1]
    assert said in box.notifier.sent[-1]["STATUS"]


def test_a_link_that_said_it_would_be_silent_does_not_withhold_the_ping() -> None:
    box = Box(Plan(()))
    box.office.heartbeats = {"link": box.clock.monotonic_ns() + int(300e9), "outbox": box.clock.monotonic_ns()}
    box.daemon.tick()
    assert box.notifier.sent[-1]["WATCHDOG"] == "1"


def test_a_lost_source_does_not_withhold_the_ping() -> None:
    box = Box(Plan(()))
    box.daemon.reconcile(Plan((wanted(FakePart(working=False, ills=[Reason("source-lost", "dock", "gone", 0)])),)))
    box.daemon.tick()
    assert box.notifier.sent[-1]["WATCHDOG"] == "1"
    assert box.office.said == [("failed", ("source-lost",))]


def test_a_reload_keeps_unchanged_parts_replaces_changed_ones_and_stops_those_that_are_gone() -> None:
    kept, old, new, gone = FakePart("kept"), FakePart("changed"), FakePart("changed"), FakePart("gone")
    box = Box(Plan((wanted(kept), wanted(new, "otherwise"))))
    box.daemon.reconcile(Plan((wanted(kept), wanted(old), wanted(gone))))
    box.daemon.reload()
    box.daemon.tick()
    assert (kept.calls, old.calls, new.calls, gone.calls) == (
        ["start", "reload"],
        ["start", "stop", "join"],
        ["start"],
        ["start", "stop", "join"],
    )


def test_what_came_with_a_reload_still_stops_before_what_the_plan_has_behind_it() -> None:
    stopped: list[str] = []

    class Told(FakePart):
        def join(self, timeout_s: float) -> bool:
            stopped.append(self.name)
            return super().join(timeout_s)

    pipeline, listener = Told("pipeline"), Told("listener")
    box = Box(Plan(()))
    box.daemon.reconcile(Plan((wanted(listener),)))
    box.daemon.reconcile(Plan((wanted(pipeline), wanted(listener))))
    box.daemon._shut_down()

    assert stopped == ["pipeline", "listener"]


def test_a_reload_with_a_bad_configuration_keeps_everything_and_says_so() -> None:
    part = FakePart()
    box = Box(ConfigError("cannot read edged.toml: it is gone, expected a file"))
    box.daemon.reconcile(Plan((wanted(part),)))
    box.daemon.reload()
    box.daemon.tick()
    assert part.calls == ["start", "reload"]
    assert box.office.said == [("degraded", ("reload-refused",))]


def test_a_reload_tells_systemd_that_it_reloads_and_when_it_is_done() -> None:
    box = Box(Plan(()))
    box.daemon.reload()
    box.daemon.tick()
    assert [sorted(sent) for sent in box.notifier.sent[:2]] == [["MONOTONIC_USEC", "RELOADING", "STATUS"], ["READY"]]


def test_a_part_that_does_not_stop_in_time_does_not_keep_the_daemon() -> None:
    part = FakePart(stops_in_time=False)
    box = Box(Plan((wanted(part),)))
    box.run_until(lambda: True)
    assert box.office.calls[-1] == "close within 1 s"


def test_the_repr_shows_every_part() -> None:
    box = Box(Plan(()))
    assert repr(box.daemon) == "<Daemon without parts>"
    box.daemon.reconcile(Plan((wanted(FakePart()),)))
    assert "FakePart(name='dock'" in repr(box.daemon)


def test_a_restart_is_a_stop_that_whoever_ran_it_can_tell() -> None:
    box = Box(Plan((wanted(FakePart()),)))
    assert not box.daemon.starts_again
    box.run_until(lambda: box.daemon.restart() is None)
    assert box.daemon.starts_again
    assert box.office.calls[-1] == "close within 1 s"


def test_parts_start_in_the_plans_order() -> None:
    started: list[str] = []

    class Noting(FakePart):
        def start(self) -> None:
            started.append(self.name)

    names = [f"part-{number}" for number in range(20)]
    box = Box(Plan(tuple(wanted(Noting(name)) for name in names)))
    box.run_until(lambda: bool(box.office.said))
    assert started == names


def test_asked_to_stop_before_it_runs_it_starts_no_part() -> None:
    part = FakePart()
    box = Box(Plan((wanted(part),)))
    box.daemon.stop()
    box.daemon.run()
    assert part.calls == []
    assert box.office.calls == ["start", "close within 1 s"]


def test_when_the_start_fails_what_was_started_is_stopped() -> None:
    class Broken(FakePart):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    first = FakePart("a")
    box = Box(Plan((wanted(first), wanted(Broken("b")))))
    with pytest.raises(RuntimeError):
        box.daemon.run()
    assert first.calls == ["start", "stop", "join"]
    assert box.office.calls == ["start", "close within 1 s"]


def test_a_report_that_fails_is_a_reason_and_ends_nothing() -> None:
    class Failing(FakeOffice):
        def report(self, grade: Grade, reasons: Sequence[Reason], parts: Sequence[object]) -> None:
            super().report(grade, reasons, parts)
            if len(self.said) <= 2:
                raise OSError(5, "Input/output error")

    box = Box(Plan((wanted(FakePart()),)), office=Failing())
    box.run_until(lambda: len(box.office.said) == 4)
    assert [reasons for _, reasons in box.office.said] == [(), ("report-failed",), ("report-failed",), ()]


def test_a_part_that_cannot_be_stopped_costs_neither_the_others_nor_the_farewell() -> None:
    class Stubborn(FakePart):
        def stop(self) -> None:
            raise OSError("cannot close it")

    other = FakePart("b")
    box = Box(Plan((wanted(Stubborn("a")), wanted(other))))
    box.run_until(lambda: bool(box.office.said))
    assert other.calls == ["start", "stop", "join"]
    assert box.office.calls == ["start", "close within 1 s"]


def test_a_fault_of_its_own_at_a_reload_leaves_what_runs(caplog: pytest.LogCaptureFixture) -> None:
    part = FakePart()
    box = Box(Plan((wanted(part),)))
    plans = iter([box.plan])

    def plan_once() -> Plan:
        found = next(plans)
        assert isinstance(found, Plan)
        return found

    box.daemon._make_plan = plan_once
    box.daemon.reload()
    box.run_until(lambda: len(box.office.said) == 2)
    assert box.office.said[-1][1] == ("reload-refused",)
    assert part.calls[0] == "start"
    assert "stop" not in part.calls[:-2]
    assert "reload.broken" in caplog.text
