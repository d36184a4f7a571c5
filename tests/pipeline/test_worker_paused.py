"""A worker that pauses, rests, or lets go of what it built."""

from __future__ import annotations

from edged.pipeline.worker import BEAT_S, Worker
from fakes.clock import FakeClock
from fakes.script import GIVE_UP_S, Endless, ran, script
from fakes.waiting import until


def test_a_paused_worker_makes_no_step_beats_and_goes_on_where_it_was() -> None:
    clock, steps = FakeClock(), script(True, False)
    worker: Worker
    seen = []

    def wait(_seconds: float) -> bool:
        seen.append((worker.state, worker.reason and worker.reason.code, worker.heartbeat_ns == clock.mono))
        clock.advance(BEAT_S)
        if len(seen) == 3:
            worker.resume()
        return False

    worker = Worker("gate", lambda: steps, clock, wait=wait)
    worker.pause()
    worker.pause()
    ran(worker)
    assert [state for state, _, _ in seen] == ["paused"] * 3
    assert seen[2] == ("paused", "paused", True)
    assert steps.calls == ["step", "step", "close"]
    assert (worker.state, worker.reason) == ("ended", None)


def test_a_paused_worker_ends_when_asked_to() -> None:
    steps = script()
    worker = Worker("gate", lambda: steps, FakeClock())
    worker.pause()
    worker.start()
    until(lambda: worker.state == "paused", "paused")
    worker.stop()
    assert worker.join(GIVE_UP_S)
    assert steps.calls == ["close"]


def test_a_worker_that_rests_wakes_at_once_when_it_shall_go_on() -> None:
    worker = Worker("gate", lambda: script(False), FakeClock())
    worker.pause()
    worker.start()
    until(lambda: worker.state == "paused", "paused")
    worker.resume()
    assert worker.join(GIVE_UP_S)
    assert worker.state == "ended"


def test_what_two_paused_goes_on_when_both_let_it() -> None:
    worker = Worker("gate", lambda: script(False), FakeClock())
    worker.pause()
    worker.pause("governed", "rests", "it passes")
    worker.start()
    until(lambda: worker.state == "paused", "paused")
    assert worker.paused_by == {"paused", "governed"}
    worker.resume("governed")
    assert worker.state == "paused"
    assert worker.reason is not None
    assert worker.reason.code == "paused"
    worker.resume()
    assert worker.join(GIVE_UP_S)


def test_one_that_shall_let_go_frees_what_it_built_and_builds_it_again_when_it_goes_on() -> None:
    built: list[Endless] = []

    def build() -> Endless:
        built.append(Endless())
        return built[-1]

    freed: list[bool] = []
    worker = Worker("gate", build, FakeClock())
    worker.rested = lambda: freed.append(built[0].is_closed)
    worker.start()
    until(lambda: worker.state == "running", "it runs")

    worker.pause("governed", lets_go=True)

    until(lambda: worker.state == "paused" and freed, "it rests")
    assert (freed, worker.steps) == ([True], None)
    worker.resume("governed")
    until(lambda: worker.state == "running", "it goes on")
    assert (len(built), worker.restarts, worker.reason) == (2, 0, None)
    worker.stop()
    assert worker.join(GIVE_UP_S)


def test_what_an_operator_paused_lets_go_too_and_is_built_only_when_nothing_pauses_it() -> None:
    built: list[Endless] = []

    def build() -> Endless:
        built.append(Endless())
        return built[-1]

    worker = Worker("gate", build, FakeClock())
    worker.start()
    until(lambda: worker.state == "running", "it runs")
    worker.pause()
    until(lambda: worker.state == "paused", "it rests")
    assert worker.steps is built[0]

    worker.pause("governed", lets_go=True)
    until(lambda: worker.steps is None, "it lets go")
    worker.resume("governed")
    assert (worker.state, worker.paused_by, len(built)) == ("paused", {"paused"}, 1)
    worker.resume()
    until(lambda: worker.state == "running", "it goes on")
    assert len(built) == 2
    worker.stop()
    assert worker.join(GIVE_UP_S)


def test_one_that_let_go_ends_when_asked_to_without_building_again() -> None:
    built: list[Endless] = []

    def build() -> Endless:
        built.append(Endless())
        return built[-1]

    worker = Worker("gate", build, FakeClock())
    worker.pause("governed", lets_go=True)
    worker.start()
    until(lambda: worker.state == "paused", "it rests")
    worker.stop()
    assert worker.join(GIVE_UP_S)
    assert built == []
    assert worker.state == "stopped"
