"""Who waits for a place, and for how long."""

from __future__ import annotations

import random
import threading

from edged.domain.places import Places
from fakes.waiting import until


def test_who_waits_for_so_long_goes_without_and_leaves_no_place_behind() -> None:
    places = Places(1)
    assert places.take()
    assert not places.take(5, within_s=0.01)
    assert repr(places) == "1 of 1 places taken, 0 wait"
    places.give()
    assert places.take(within_s=0.0)


def test_who_leaves_lets_those_behind_it_come_in_their_order() -> None:
    places, got = Places(1), list[int]()
    places.take()

    def wait(priority: int) -> None:
        places.take(priority)
        got.append(priority)
        places.give()

    threads = [threading.Thread(target=wait, args=(priority,)) for priority in (0, 3, 7)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        until(lambda number=number: f"{number} wait" in repr(places), "it waits")  # type: ignore[misc] # bound at once
    assert not places.take(5, within_s=0.01)
    places.give()
    for thread in threads:
        thread.join(10)
    assert got == [7, 3, 0]


def test_a_place_that_is_given_in_the_last_moment_is_not_left() -> None:
    places = Places(1)
    places.take()
    assert not places._leaves((0, 0, threading.Lock()))


def test_whatever_threads_come_and_leave_nobody_shares_a_place_and_none_is_lost() -> None:
    places, inside, wrong = Places(2), [0], list[int]()
    start, counting = threading.Barrier(8), threading.Lock()

    def come_and_go(seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311 - what is drawn shall be the same each time
        start.wait(10)
        for _ in range(300):
            if not places.take(draw.randrange(3), within_s=draw.choice((-1.0, 0.0, 0.0001))):
                continue
            with counting:
                inside[0] += 1
                wrong.extend([inside[0]] if inside[0] > 2 else [])
            with counting:
                inside[0] -= 1
            places.give()

    threads = [threading.Thread(target=come_and_go, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert repr(places) == "0 of 2 places taken, 0 wait"
