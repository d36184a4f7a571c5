"""Interpreters that several threads run."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from edged.assembly.crew import Crew
from edged.domain.errors import EngineLostError
from edged.domain.tensor import Array, TensorSpec
from fakes.engine import FakeEngine
from fakes.waiting import until

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


def held_up() -> tuple[threading.Event, threading.Event, list[float], Crew]:
    """Give what tells that a run began, what lets runs end, the numbers that ran, and the one that runs them."""
    began, go_on, ran = threading.Event(), threading.Event(), list[float]()

    def answer(tensors: list[Array]) -> list[Array]:
        ran.append(float(tensors[0][0]))
        began.set()
        go_on.wait(10)
        return tensors

    return began, go_on, ran, Crew(FakeEngine(SPEC, SPEC, answer), 1)


def test_of_those_who_wait_the_most_important_is_the_next() -> None:
    began, go_on, ran, crew = held_up()
    at_work, *waiting = (
        threading.Thread(target=crew.infer, args=([np.full(1, number, np.float32)], priority))
        for number, priority in ((0, 0), (1, 0), (2, 0), (3, 7))
    )
    at_work.start()
    began.wait(10)
    for number, thread in enumerate(waiting):
        thread.start()
        until(lambda number=number: f"1 of 1 places taken, {number + 1} wait" in repr(crew._places), "it waits")  # type: ignore[misc] # bound at once
    go_on.set()
    for thread in (at_work, *waiting):
        thread.join(10)

    assert ran == [0, 3, 1, 2]


def test_whoever_asks_again_comes_behind_who_waits() -> None:
    began, go_on, ran, crew = held_up()

    def run(number: int, times: int) -> None:
        for _ in range(times):
            crew.infer([np.full(1, number, np.float32)])

    busy, waits = threading.Thread(target=run, args=(0, 3)), threading.Thread(target=run, args=(1, 1))
    busy.start()
    began.wait(10)
    waits.start()
    until(lambda: "1 of 1 places taken, 1 wait" in repr(crew._places), "it waits")
    go_on.set()
    for thread in (busy, waits):
        thread.join(10)

    assert ran == [0, 1, 0, 0]


def test_one_that_is_lost_is_let_go_and_nobody_meets_it_again() -> None:
    sound, lost = FakeEngine(SPEC, SPEC, list), FakeEngine(SPEC, SPEC, list, fails_from=0)
    crew = Crew(sound, 2)
    crew.join(lost)
    with pytest.raises(EngineLostError):
        crew.infer(INPUT)

    assert (crew.is_lost, crew.count, sound.closed, lost.closed) == (True, 1, False, True)
    assert crew.infer(INPUT)[0] == 1
    crew.close()
    assert sound.closed


def test_who_waits_when_the_last_one_is_lost_is_refused_and_one_that_comes_later_serves() -> None:
    began, go_on, refused = threading.Event(), threading.Event(), list[int]()

    def lost(_tensors: list[Array]) -> list[Array]:
        began.set()
        go_on.wait(10)
        raise EngineLostError("it is gone")

    crew = Crew(FakeEngine(SPEC, SPEC, lost), 1)

    def run() -> None:
        with pytest.raises(EngineLostError):
            crew.infer(INPUT)
        refused.append(1)

    threads = [threading.Thread(target=run) for _ in range(3)]
    threads[0].start()
    began.wait(10)
    for thread in threads[1:]:
        thread.start()
    until(lambda: "1 of 1 places taken, 2 wait" in repr(crew._places), "they wait")
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert (refused, crew.count) == ([1, 1, 1], 0)
    crew.join(FakeEngine(SPEC, SPEC, list))
    assert crew.infer(INPUT)[0] == 1
    crew.leave()
    assert crew.count == 0


def test_one_that_joins_when_all_were_lost_serves_who_waits_for_it_as_well() -> None:
    began, go_on, answered = threading.Event(), threading.Event(), list[int]()
    crew = Crew(FakeEngine(SPEC, SPEC, list, fails_from=0), 2)
    with pytest.raises(EngineLostError):
        crew.infer(INPUT)

    def slowly(tensors: list[Array]) -> list[Array]:
        began.set()
        go_on.wait(10)
        answered.append(1)
        return tensors

    crew.join(FakeEngine(SPEC, SPEC, slowly))
    threads = [threading.Thread(target=crew.infer, args=(INPUT,)) for _ in range(2)]
    threads[0].start()
    began.wait(10)
    threads[1].start()
    until(lambda: "2 of 2 places taken, 1 wait" in repr(crew._places) or not threads[1].is_alive(), "it waits")
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert answered == [1, 1]


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


def test_whatever_comes_goes_and_fails_nobody_meets_what_is_closed_or_at_work_and_all_end() -> None:
    wrong, draw = list[str](), random.Random(7)  # noqa: S311 - the same each time
    made = [_minded(wrong, None)]
    crew = Crew(made[0], 4)
    users = [threading.Thread(target=_use, args=(crew, wrong)) for _ in range(6)]
    for thread in users:
        thread.start()
    while any(thread.is_alive() for thread in users):
        if crew.count < 4:
            made.append(_minded(wrong, draw.choice((None, 0, 3))))
            crew.join(made[-1])
        if crew.count > 1 and draw.random() < 0.5:
            crew.leave()
    crew.close()

    assert (wrong, crew.count) == ([], 0)
    assert all(engine.closed for engine in made)
    assert repr(crew._places) == "3 of 4 places taken, 0 wait"


def _minded(wrong: list[str], fails_from: int | None) -> FakeEngine:
    """Give an engine that tells when two run it at once."""
    at_work = threading.Lock()

    def answer(tensors: list[Array]) -> list[Array]:
        if not at_work.acquire(blocking=False):
            wrong.append("two at once")
            return tensors
        threading.Event().wait(0.0001)  # others come in between
        at_work.release()
        return tensors

    return FakeEngine(SPEC, SPEC, answer, fails_from=fails_from)


def _use(crew: Crew, wrong: list[str]) -> None:
    for _ in range(50):
        try:
            crew.infer(INPUT)
        except EngineLostError as error:
            wrong.extend(["met a closed one"] if "engine was closed" in str(error) else [])
