"""Threads that take turns, on one processor. The kernel is the real one."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edged.hardware import gathered
from edged.hardware.gathered import gather, scatter

OURS = os.sched_getaffinity(0)


def on_a_thread(*steps: Callable[[], None]) -> set[int]:
    """Give where a thread may run that has done these."""

    def work() -> set[int]:
        for step in steps:
            step()
        return os.sched_getaffinity(0)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_all_who_gather_meet_on_one_processor_and_scatter_to_all() -> None:
    (first,), (second,) = on_a_thread(gather, gather), on_a_thread(gather, gather, gather)

    assert first == second == max(OURS)
    assert on_a_thread(gather, gather, scatter) == on_a_thread(scatter) == os.sched_getaffinity(0) == OURS


def test_what_a_thread_does_before_it_asks_again_it_does_where_it_was() -> None:
    assert on_a_thread(gather) == on_a_thread(gather, gather, scatter, gather) == OURS


def test_a_thread_that_was_begun_by_one_that_gathered_scatters_for_itself() -> None:
    begun: list[set[int]] = []

    on_a_thread(gather, gather, lambda: begun.append(on_a_thread()), lambda: begun.append(on_a_thread(scatter)))

    assert begun == [{max(OURS)}, OURS]


def test_the_strongest_processor_is_where_they_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, capacity in enumerate((400, 400, 1024, 1024, 700)):
        (tmp_path / str(number)).write_text(f"{capacity}\n", "ascii")
    monkeypatch.setattr(gathered, "CAPACITY", f"{tmp_path}/{{}}")

    assert gathered._meeting_point(frozenset(range(5))) == 3
    assert gathered._meeting_point(frozenset((0, 1, 4))) == 4
    assert gathered._meeting_point(frozenset((0, 1))) == 1


def test_where_it_is_forbidden_a_thread_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: int, _processors: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr("os.sched_setaffinity", refuse)

    assert on_a_thread(gather, gather) == on_a_thread(gather, gather, scatter) == OURS
