"""What parts beside the pipelines have in common: they begin, end, and begin again, and hold nobody up."""

from __future__ import annotations

import threading
import time

from edged.assembly.side_part import SidePart
from edged.daemon import STUCK_AFTER_S, Part

LONG_S = 60.0


class Waits(SidePart):
    """Says on which thread it ran."""

    def __init__(self) -> None:
        super().__init__("edged-waits")
        self.ran: list[str] = []
        self.is_running = threading.Event()

    def _run(self) -> None:
        self.ran.append(threading.current_thread().name)
        self.is_running.set()
        self._stop.wait()


def test_one_that_never_began_has_ended() -> None:
    assert Waits().join(0.0)


def test_it_runs_on_a_thread_of_its_own_until_it_is_stopped() -> None:
    part = Waits()

    part.start()

    assert part.is_running.wait(LONG_S)
    assert not part.join(0.0)
    part.stop()
    assert part.join(LONG_S)
    assert part.ran == ["edged-waits"]


def test_it_can_be_started_again() -> None:
    part = Waits()
    for _ in range(2):
        part.is_running.clear()
        part.start()
        assert part.is_running.wait(LONG_S)
        part.stop()
        assert part.join(LONG_S)

    assert part.ran == ["edged-waits"] * 2


def test_one_that_has_not_ended_yet_never_works_beside_itself() -> None:
    at_work, most, begun, go_on = [0], [0], threading.Semaphore(0), threading.Event()

    class Slow(SidePart):
        def _run(self) -> None:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            begun.release()
            go_on.wait(LONG_S)
            at_work[0] -= 1

    part = Slow("edged-slow")
    part.start()
    assert begun.acquire(timeout=LONG_S)
    part.stop()
    assert not part.join(0.0)
    part.start()
    assert not part.join(0.05)
    go_on.set()
    assert part.join(LONG_S)

    assert (most, at_work) == ([1], [0])


def test_the_daemon_ends_without_it_and_never_takes_it_for_stuck() -> None:
    part: Part = Waits()

    assert (part.ended, part.working, part.reasons()) == (True, False, ())
    assert part.heartbeat_ns > time.monotonic_ns() + STUCK_AFTER_S * 1e9
