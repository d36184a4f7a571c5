"""The line before an engine."""

from __future__ import annotations

import threading

import pytest

from edged.api.waiting import Waiting
from fakes.waiting import until


def test_the_higher_priority_goes_first_and_then_who_came_first() -> None:
    line: Waiting[str] = Waiting(8)
    for job, level in (("late", 8), ("early", 8), ("urgent", 1), ("last", 8)):
        assert line.put(job, level)

    assert [line.take() for _ in range(5)] == ["urgent", "late", "early", "last", None]


def test_who_finds_no_room_is_told_at_once() -> None:
    line: Waiting[int] = Waiting(2)

    assert [line.put(job) for job in range(3)] == [True, True, False]


def test_who_went_away_makes_room_and_is_never_taken() -> None:
    line: Waiting[int] = Waiting(1)
    line.put(1)

    assert line.withdraw(1)
    assert not line.withdraw(1)
    assert line.put(2)
    assert line.take() == 2
    assert not line.withdraw(2)


def test_those_who_went_away_take_no_memory_while_nobody_takes() -> None:
    line: Waiting[int] = Waiting(4)
    for job in range(1000):
        line.put(job)
        line.withdraw(job)

    assert len(line._heap) <= 9


def test_the_end_gives_back_who_waited_in_order_and_lets_nobody_in() -> None:
    line: Waiting[str] = Waiting(4)
    for job, level in (("second", 8), ("first", 1), ("gone", 1)):
        line.put(job, level)
    line.withdraw("gone")

    assert line.close() == ["first", "second"]
    assert line.closed
    assert not line.put("more")
    assert not line.wait(0.0)


def test_a_thread_that_waits_wakes_when_somebody_comes() -> None:
    line: Waiting[int] = Waiting(4)
    taken: list[int | None] = []
    thread = threading.Thread(target=lambda: (line.wait(10.0), taken.append(line.take())))
    thread.start()

    line.put(7)

    thread.join(10)
    assert taken == [7]


def test_of_several_threads_that_wait_the_last_one_is_woken() -> None:
    line: Waiting[int] = Waiting(4)
    woken: list[str] = []
    threads = []
    for count, name in enumerate(("first", "last"), 1):
        thread = threading.Thread(target=lambda name=name: line.wait(30.0) and woken.append(name))
        thread.start()
        threads.append(thread)
        until(lambda count=count: len(line._idle) == count, f"{name} waits")

    line.put(7)

    threads[-1].join(10)
    assert woken == ["last"]
    line.close()
    threads[0].join(10)
    assert woken == ["last"]


@pytest.mark.parametrize("closes", [True, False])
def test_a_pause_ends_with_the_line(closes: bool) -> None:
    line: Waiting[int] = Waiting(1)
    if closes:
        line.close()

    line.pause(30.0 if closes else 0.0)

    assert line.closed is closes
    assert repr(line) == f"<Waiting: 0 of 1{', closed' if closes else ''}>"


def test_those_that_are_alike_are_taken_up_to_the_first_that_is_not() -> None:
    waiting: Waiting[str] = Waiting(8)
    for job in ("a1", "a2", "gone", "b1", "a3"):
        waiting.put(job)
    waiting.withdraw("gone")

    assert waiting.take_like(lambda job: job.startswith("a")) == ["a1", "a2"]
    assert [waiting.take(), waiting.take(), waiting.take()] == ["b1", "a3", None]


def test_gathering_ends_with_enough_or_with_its_time() -> None:
    waiting: Waiting[str] = Waiting(8)
    waiting.put("a")
    waiting.gather(lambda jobs: "a" in jobs, 10.0)
    waiting.gather(lambda jobs: len(jobs) == 2, 0.01)

    assert len(waiting) == 1


def test_who_was_taken_and_comes_back_is_the_first_of_its_level_even_in_a_full_line() -> None:
    waiting: Waiting[str] = Waiting(2)
    waiting.put("low", 2)
    waiting.put("usual", 1)

    assert waiting.put_back("again", 1)
    assert waiting.first() == "again"
    assert [waiting.take(), waiting.take(), waiting.take()] == ["again", "usual", "low"]
    waiting.close()
    assert not waiting.put_back("again", 1)


def test_the_first_is_nobody_who_went_away() -> None:
    waiting: Waiting[str] = Waiting(8)
    waiting.put("gone")
    waiting.put("a")
    waiting.withdraw("gone")

    assert (waiting.first(), len(waiting)) == ("a", 1)
