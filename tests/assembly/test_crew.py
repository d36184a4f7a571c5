"""Interpreters that several threads run."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edged.assembly.crew import Crew
from edged.domain.errors import EngineLostError
from edged.domain.tensor import Array, TensorSpec
from fakes.engine import FakeEngine

SPEC = (TensorSpec("x", (1,), "float32"),)
INPUT = [np.ones(1, np.float32)]


def test_an_interpreter_serves_one_thread_at_a_time_and_none_idles_while_somebody_waits() -> None:
    at_work, most, lock = [0], [0], threading.Lock()
    both = threading.Barrier(2)

    def answer(tensors: list[Array]) -> list[Array]:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        both.wait(10)
        with lock:
            at_work[0] -= 1
        return tensors

    crew = Crew(FakeEngine(SPEC, SPEC, answer), 2)
    crew.join(FakeEngine(SPEC, SPEC, answer))
    threads = [threading.Thread(target=crew.infer, args=(INPUT,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert most == [2]


def test_the_interpreter_that_ran_last_runs_next() -> None:
    ran: list[str] = []
    crew = Crew(FakeEngine(SPEC, SPEC, lambda tensors: ran.append("a") or tensors), 2)
    crew.join(FakeEngine(SPEC, SPEC, lambda tensors: ran.append("b") or tensors))

    for _ in range(3):
        crew.infer(INPUT)

    assert ran == ["b", "b", "b"]


def test_one_that_is_lost_costs_the_others_nothing_and_is_the_first_to_go() -> None:
    sound, lost = FakeEngine(SPEC, SPEC, list), FakeEngine(SPEC, SPEC, list, fails_from=0)
    crew = Crew(sound, 2)
    crew.join(lost)
    with pytest.raises(EngineLostError):
        crew.infer(INPUT)

    assert crew.infer(INPUT)[0] == 1
    crew.leave()
    assert (crew.is_lost, sound.closed, lost.closed) == (True, False, True)


def test_one_that_is_at_work_goes_when_it_has_finished() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slowly(tensors: list[Array]) -> list[Array]:
        begun.set()
        may_end.wait(10)
        return tensors

    engine = FakeEngine(SPEC, SPEC, slowly)
    crew = Crew(engine, 1)
    thread = threading.Thread(target=crew.infer, args=(INPUT,))
    thread.start()
    begun.wait(10)
    crew.leave()
    was_closed = engine.closed
    may_end.set()
    thread.join(10)

    assert (was_closed, engine.closed, crew.count) == (False, True, 0)


def test_closing_frees_all_and_may_be_done_twice() -> None:
    engines = [FakeEngine(SPEC, SPEC, list) for _ in range(2)]
    crew = Crew(engines[0], 2)
    crew.join(engines[1])
    crew.close()
    crew.close()

    assert all(engine.closed for engine in engines)


def test_who_waits_when_it_is_closed_is_refused_and_what_is_at_work_goes_as_it_finishes() -> None:
    begun, may_end, refused = threading.Event(), threading.Event(), []

    def slowly(tensors: list[Array]) -> list[Array]:
        begun.set()
        may_end.wait(10)
        return tensors

    engine = FakeEngine(SPEC, SPEC, slowly)
    crew = Crew(engine, 2)

    def wait() -> None:
        with pytest.raises(EngineLostError, match="interpreters were closed"):
            crew.infer(INPUT)
        refused.append(1)

    at_work = threading.Thread(target=crew.infer, args=(INPUT,))
    at_work.start()
    begun.wait(10)
    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    crew.close()
    for thread in waiting:
        thread.join(10)
    was_closed = engine.closed
    may_end.set()
    at_work.join(10)

    assert (refused, was_closed, engine.closed) == ([1, 1, 1], False, True)
