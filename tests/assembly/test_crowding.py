"""Turns of those who share an interpreter, beside others of the box."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from functools import partial

from edged.assembly.crowding import turn_at
from edged.assembly.sharing import QueuedEngine
from edged.domain.tensor import TensorSpec
from edged.hardware.gathered import scatter
from edged.pipeline.turns import Turns
from fakes.engine import FakeEngine
from fakes.waiting import until

SPEC = (TensorSpec("x", (1,), "float32"),)


def hold(crowd: Turns | None) -> QueuedEngine:
    return QueuedEngine(FakeEngine(SPEC, SPEC, list), lambda: None, lambda: crowd)


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_who_waits_for_a_processor_keeps_the_interpreter_from_nobody() -> None:
    crowd, box = Turns(1), Turns(1)

    def compute() -> None:
        with turn_at(hold(crowd), partial(box.turn, -10), -10):
            pass

    with box.turn():
        waiting = beside(compute)
        until(lambda: "1 wait" in repr(box), "it waits for a processor")
        assert repr(crowd) == "<Turns: 0 of 1 places taken, 0 wait>"
    waiting.join()


def test_one_of_a_crowd_computes_at_a_time_and_hears_of_who_is_more_important() -> None:
    crowd, box = Turns(1), Turns(2)
    came = threading.Event()

    def compute() -> None:
        with turn_at(hold(crowd), box.turn, 1):
            came.set()

    with turn_at(hold(crowd), box.turn, 0) as is_wanted:
        other = beside(compute)
        until(lambda: is_wanted is not None and is_wanted(), "it hears of it")
        assert not came.is_set()
    other.join()
    scatter()

    assert came.is_set()


def test_who_has_an_engine_alone_waits_for_no_crowd() -> None:
    with ExitStack() as held:
        for engine in (hold(None), FakeEngine(SPEC, SPEC, list), None):
            held.enter_context(turn_at(engine, nullcontext, 0))
