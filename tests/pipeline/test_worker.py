from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from edged.domain.errors import BundleError, EngineLostError
from edged.domain.health import Reason
from edged.pipeline.backoff import Backoff
from edged.pipeline.worker import BEAT_S, BUILD_S, STABLE_AFTER_S, Worker
from fakes.clock import FakeClock
from fakes.waiting import until

AT_ONCE = 0.0
GIVE_UP_S = 10.0


@dataclass
class Script:
    """Steps to order: True goes on, False is the end, an error is raised."""

    words: Iterator[bool | Exception]
    calls: list[str] = field(default_factory=list)
    clock: FakeClock | None = None
    advance_s: float = 0.0
    reason: Reason | None = None

    def step(self, timeout_s: float) -> bool:
        assert timeout_s > 0
        self.calls.append("step")
        if self.clock:
            self.clock.advance(self.advance_s)
        word = next(self.words)
        if isinstance(word, Exception):
            raise word
        return word

    def close(self) -> None:
        self.calls.append("close")


def script(*words: bool | Exception) -> Script:
    return Script(iter(words))


def ran(worker: Worker) -> Worker:
    worker.start()
    assert worker.join(GIVE_UP_S)
    return worker


def at_once() -> Backoff:
    return Backoff(first_s=AT_ONCE, limit_s=AT_ONCE)


def test_it_steps_to_the_end_then_says_the_last_word_and_cleans_up() -> None:
    steps = script(True, True, False)
    worker = ran(Worker("gate", lambda: steps, FakeClock(), last_word=lambda: steps.calls.append("last word")))
    assert steps.calls == ["step", "step", "step", "close", "last word"]
    assert (worker.state, worker.reason, worker.restarts) == ("ended", None, 0)


def test_after_a_failure_it_builds_anew_and_the_last_word_is_said_once() -> None:
    builds = [script(True, EngineLostError("gone")), script(False)]
    left = iter(builds)
    said: list[str] = []
    worker = ran(Worker("gate", lambda: next(left), FakeClock(), at_once(), last_word=lambda: said.append("end")))
    assert [steps.calls for steps in builds] == [["step", "step", "close"], ["step", "close"]]
    assert said == ["end"]
    assert (worker.state, worker.restarts) == ("ended", 1)


def test_what_something_else_can_stand_in_for_is_built_anew_without_a_wait() -> None:
    left = iter([script(EngineLostError("gone")), script(False)])
    never = Backoff(first_s=1000.0, limit_s=1000.0)
    worker = ran(
        Worker("gate", lambda: next(left), FakeClock(), never, is_replaceable=lambda error: str(error) == "gone")
    )
    assert (worker.state, worker.restarts) == ("ended", 1)


def test_what_cannot_be_built_is_waited_for_whatever_could_stand_in() -> None:
    def build() -> Script:
        worker.stop()
        raise EngineLostError("gone")

    worker = Worker("gate", build, FakeClock(), Backoff(first_s=1000.0), is_replaceable=lambda _: True)
    assert ran(worker).state == "stopped"


def test_its_owner_hears_of_each_failure() -> None:
    left = iter([script(EngineLostError("gone")), script(KeyError("a bug")), script(False)])
    heard: list[int] = []
    ran(Worker("gate", lambda: next(left), FakeClock(), at_once(), on_failure=lambda: heard.append(len(heard))))
    assert heard == [0, 1]


def test_an_unexpected_error_is_survived_too() -> None:
    left = iter([script(KeyError("a bug")), script(False)])
    assert ran(Worker("gate", lambda: next(left), FakeClock(), at_once())).state == "ended"


def test_while_it_has_failed_it_says_why_and_what_to_do() -> None:
    worker: Worker
    seen = []

    def build() -> Script:
        if worker.reason is None:
            raise BundleError("cannot load parts: gone", remedy="install it")
        seen.append(worker.reason)
        return script(False)

    worker = Worker("gate", build, FakeClock(), at_once())
    ran(worker)
    assert [(r.code, r.component, r.message, r.remedy) for r in seen] == [
        ("bundle", "gate", "cannot load parts: gone", "install it")
    ]


def test_a_stop_ends_it_after_the_step_in_hand() -> None:
    steps = Script(iter(lambda: True, False))
    worker = Worker("gate", lambda: steps, FakeClock())
    worker.start()
    worker.stop()
    assert worker.join(GIVE_UP_S)
    assert worker.state == "stopped"


def test_a_stop_ends_the_wait_for_the_next_attempt() -> None:
    def build() -> Script:
        worker.stop()
        raise BundleError("cannot load")

    worker = Worker("gate", build, FakeClock(), Backoff(first_s=1000.0))
    assert ran(worker).state == "stopped"


def test_a_retry_ends_the_wait_for_the_next_attempt() -> None:
    builds = iter([BundleError("cannot load"), script(False)])

    def build() -> Script:
        found = next(builds)
        if isinstance(found, BundleError):
            raise found
        return found

    worker = Worker("gate", build, FakeClock(), Backoff(first_s=1000.0))
    worker.retry()  # nothing has failed: this one is no head start for later
    worker.start()
    until(lambda: worker.state == "failed", "failed")
    worker.retry()
    assert worker.join(GIVE_UP_S)
    assert worker.state == "ended"


def test_after_a_stable_time_the_next_failure_is_a_first_one() -> None:
    clock = FakeClock()
    backoff = Backoff(first_s=AT_ONCE, limit_s=AT_ONCE)
    early = script(EngineLostError("1"))
    late = Script(iter([True, EngineLostError("2")]), clock=clock, advance_s=STABLE_AFTER_S)
    left = iter([early, late, script(False)])
    ran(Worker("gate", lambda: next(left), clock, backoff))
    assert backoff.failures == 1


def test_the_repr_says_what_it_does_and_why_not() -> None:
    worker = Worker("gate", lambda: script(False), FakeClock())
    assert repr(worker) == "<Worker gate: starting, None>"


def test_while_it_builds_it_may_be_silent_for_longer() -> None:
    clock = FakeClock()
    beats = []

    def build() -> Script:
        beats.append(worker.heartbeat_ns - clock.monotonic_ns())
        clock.advance(BUILD_S)
        worker.building()  # its turn has only come now
        beats.append(worker.heartbeat_ns - clock.monotonic_ns())
        return script(True, False)

    worker = Worker("gate", build, clock)
    ran(worker)
    assert beats == [BUILD_S * 1e9] * 2
    assert worker.heartbeat_ns == clock.monotonic_ns()


def test_while_it_waits_for_the_next_attempt_its_heart_beats() -> None:
    clock = FakeClock()
    waits: list[float] = []
    beats: list[int] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        clock.advance(seconds)
        beats.append(clock.monotonic_ns() - worker.heartbeat_ns)
        return False

    left = iter([script(EngineLostError("gone")), script(False)])
    worker = Worker("gate", lambda: next(left), clock, Backoff(first_s=2.5, limit_s=2.5), wait)
    ran(worker)
    assert waits == [BEAT_S, BEAT_S, 0.5]
    assert max(beats) <= BEAT_S * 1e9


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


def test_a_stop_while_it_waits_for_the_next_attempt_still_has_the_last_word_said() -> None:
    said: list[str] = []

    def build() -> Script:
        worker.stop()
        raise BundleError("cannot load")

    worker = Worker("gate", build, FakeClock(), Backoff(first_s=1000.0), last_word=lambda: said.append("end"))
    ran(worker)
    assert said == ["end"]


def test_for_one_that_hangs_the_last_word_is_said_by_who_waited_in_vain() -> None:
    goes_on, said = threading.Event(), list[str]()

    def build() -> Script:
        goes_on.wait(GIVE_UP_S)
        return script(False)

    worker = Worker("gate", build, FakeClock(), last_word=lambda: said.append("end"))
    worker.start()
    assert not worker.join(0.0)
    assert said == []
    worker.stop()
    assert not worker.join(0.0)
    assert said == ["end"]
    goes_on.set()
    assert worker.join(GIVE_UP_S)


def test_a_last_word_that_fails_costs_nothing_but_itself(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise KeyError("a bug")

    assert ran(Worker("gate", lambda: script(False), FakeClock(), last_word=fail)).state == "ended"
    assert "worker.last-word" in caplog.text


def test_what_was_asked_to_stop_has_stopped_although_its_source_ended_with_it() -> None:
    class Late(Script):
        def step(self, timeout_s: float) -> bool:
            worker.stop()
            return super().step(timeout_s)

    worker = Worker("gate", lambda: Late(iter([False])), FakeClock())
    assert ran(worker).state == "stopped"


def test_one_that_was_never_started_need_not_be_waited_for() -> None:
    worker = Worker("gate", lambda: script(False), FakeClock())
    worker.stop()
    assert worker.join(GIVE_UP_S)


def test_while_it_runs_it_tells_what_its_steps_are_not_well_with() -> None:
    ill = Reason("samples-invalid", "gate", "gives only unknown results", 0)
    seen = []

    class Ill(Script):
        def step(self, timeout_s: float) -> bool:
            seen.append(worker.reason)
            return super().step(timeout_s)

    worker = Worker("gate", lambda: Ill(iter([False]), reason=ill), FakeClock())
    ran(worker)
    assert seen == [ill]
    assert worker.reason is None


def test_built_anew_when_asked_it_has_not_failed_and_says_no_last_word_in_between() -> None:
    class Renewed(Script):
        def step(self, timeout_s: float) -> bool:
            worker.rebuild()
            return super().step(timeout_s)

    builds = [Renewed(iter([True])), script(False)]
    left, said = iter(builds), list[str]()
    worker = Worker("gate", lambda: next(left), FakeClock(), last_word=lambda: said.append("end"))
    ran(worker)
    assert [steps.calls for steps in builds] == [["step", "close"], ["step", "close"]]
    assert (worker.state, worker.restarts, said) == ("ended", 0, ["end"])


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


@dataclass
class Endless:
    """Steps without end."""

    is_closed: bool = False
    reason: Reason | None = None

    def step(self, timeout_s: float) -> bool:
        assert timeout_s > 0
        return not threading.Event().wait(0.001)

    def close(self) -> None:
        self.is_closed = True
