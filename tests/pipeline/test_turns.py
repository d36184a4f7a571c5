"""Who computes now: places, priorities, order of arrival."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext

import pytest

from edged.pipeline.turns import Turns, both

PATIENCE_S = 30.0


def _until(is_met: Callable[[], bool]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not is_met():
        assert time.monotonic() < until_s, "waited too long"
        time.sleep(0.001)


def _queued(turns: Turns, names_and_priorities: list[tuple[str, int]]) -> list[str]:
    """Let threads arrive in this order while the only place is taken; give the order in which they got it."""
    got: list[str] = []

    def compute(name: str, priority: int) -> None:
        with turns.turn(priority):
            got.append(name)

    threads = [threading.Thread(target=compute, args=row) for row in names_and_priorities]
    with turns.turn():
        for number, thread in enumerate(threads, start=1):
            thread.start()
            _until(lambda number=number: f"{number} wait" in repr(turns))
    for thread in threads:
        thread.join(PATIENCE_S)
    return got


def test_the_highest_priority_comes_first_then_the_order_of_arrival() -> None:
    assert _queued(Turns(1), [("a", 0), ("b", 5), ("c", 0), ("d", 5)]) == ["b", "d", "a", "c"]


def test_never_more_compute_at_once_than_there_are_places() -> None:
    turns, most, now, lock = Turns(2), [0], [0], threading.Lock()

    def compute() -> None:
        for _ in range(50):
            with turns.turn():
                with lock:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                time.sleep(0)
                with lock:
                    now[0] -= 1

    threads = [threading.Thread(target=compute) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert most[0] <= 2
    assert repr(turns) == "<Turns: 0 of 2 places taken, 0 wait>"


@pytest.mark.parametrize(("comes", "is_told"), [(3, False), (4, False), (5, True)])
def test_whoever_computes_is_told_when_somebody_more_important_waits(comes: int, *, is_told: bool) -> None:
    turns = Turns(1)

    def compute() -> None:
        with turns.turn(comes):
            pass

    other = threading.Thread(target=compute)
    with turns.turn(4) as is_wanted:
        assert not is_wanted()
        other.start()
        _until(lambda: "1 wait" in repr(turns))
        assert is_wanted() == is_told
    other.join(PATIENCE_S)


def test_a_turn_that_fails_gives_its_place_back() -> None:
    turns = Turns(1)
    with pytest.raises(RuntimeError), turns.turn():
        raise RuntimeError
    assert repr(turns) == "<Turns: 0 of 1 places taken, 0 wait>"


def test_turns_without_a_place_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot give turns at 0 places"):
        Turns(0)


def test_who_holds_two_turns_hears_of_those_who_wait_for_either() -> None:
    first, second = Turns(1), Turns(1)
    for wanted in (first, second):
        waiting = threading.Thread(target=lambda wanted=wanted: _pass(wanted, 1))
        with both(first.turn(), second.turn()) as is_wanted:
            assert not is_wanted()
            waiting.start()
            _until(is_wanted)
        waiting.join(PATIENCE_S)
        assert not waiting.is_alive()


def test_a_turn_without_anybody_who_could_wait_is_held_beside_another() -> None:
    with both(nullcontext(), Turns(1).turn()) as is_wanted:
        assert not is_wanted()


def _pass(turns: Turns, priority: int) -> None:
    with turns.turn(priority):
        pass


def test_who_lets_others_pass_waits_until_they_are_narrow_enough() -> None:
    turns, passed, leave = Turns(2), threading.Event(), threading.Event()

    def compute(width: int) -> None:
        with turns.turn(0, width):
            assert leave.wait(PATIENCE_S)

    def let_pass() -> None:
        turns.let_pass(1, 0.0, PATIENCE_S)
        passed.set()

    wide, patient = threading.Thread(target=compute, args=(2,)), threading.Thread(target=let_pass)
    wide.start()
    _until(lambda: "1 of 2" in repr(turns))
    turns.let_pass(2, 0.0, PATIENCE_S)
    patient.start()
    _until(lambda: len(turns._watching) == 1)
    assert not passed.is_set()
    leave.set()
    assert passed.wait(PATIENCE_S)
    for thread in (wide, patient):
        thread.join(PATIENCE_S)


def test_who_lets_others_pass_does_not_wait_for_ever() -> None:
    turns = Turns(2)
    with turns.turn(0, 2):
        began_s = time.monotonic()
        turns.let_pass(1, 0.0, 0.05)

        assert time.monotonic() - began_s >= 0.05
    turns.let_pass(1, 0.0, PATIENCE_S)


def test_of_two_that_pass_both_are_waited_for() -> None:
    turns, ways = Turns(2), [threading.Event(), threading.Event()]
    passed = threading.Event()

    def compute(way: threading.Event) -> None:
        with turns.turn(0, 1):
            assert way.wait(PATIENCE_S)

    threads = [threading.Thread(target=compute, args=(way,)) for way in ways]
    threads.append(threading.Thread(target=lambda: (turns.let_pass(0, 0.0, PATIENCE_S), passed.set())))
    for thread in threads[:2]:
        thread.start()
    _until(lambda: "2 of 2" in repr(turns))
    threads[2].start()
    _until(lambda: len(turns._watching) == 1)
    ways[0].set()
    threads[0].join(PATIENCE_S)
    _until(lambda: len(turns._watching) == 1)
    assert not passed.is_set()
    ways[1].set()
    assert passed.wait(PATIENCE_S)
    for thread in threads:
        thread.join(PATIENCE_S)
