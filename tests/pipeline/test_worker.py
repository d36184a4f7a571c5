from __future__ import annotations

import threading

import pytest

from edged.domain.errors import BundleError, EngineLostError
from edged.domain.health import Reason
from edged.pipeline.backoff import Backoff
from edged.pipeline.worker import BEAT_S, BUILD_S, STABLE_AFTER_S, Worker
from fakes.clock import FakeClock
from fakes.script import AT_ONCE, GIVE_UP_S, Script, at_once, ran, script
from fakes.waiting import until


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
