"""Somebody looks on: a pipeline pays for it while somebody looks, and never waits for who does."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from edged.domain.frame import Frame
from edged.sinks.glance import Glance, Sight
from fakes.results import detections, result, stamp
from fakes.waiting import until


@dataclass
class HeldFrame:
    """Implements ``edged.sinks.hand.Hand``."""

    keep: bool = False
    in_hand: Frame | None = None

    def takes(self, index: int) -> None:
        """Let the pipeline take a frame, which is held only when somebody asked."""
        self.in_hand = Frame(np.zeros((2, 2, 3), np.uint8), stamp(index, index)) if self.keep else None


@pytest.fixture
def hand() -> HeldFrame:
    return HeldFrame()


@pytest.fixture
def glance(hand: HeldFrame) -> Glance:
    return Glance(hand)


def step(hand: HeldFrame, glance: Glance, index: int) -> None:
    hand.takes(index)
    glance.result(result(detections("nut"), index, index=index))


def look(glance: Glance, found: list[Sight | None], within_s: float = 30.0) -> threading.Thread:
    thread = threading.Thread(target=lambda: found.append(glance.take(within_s)))
    thread.start()
    return thread


def test_while_nobody_looks_no_frame_is_held(hand: HeldFrame, glance: Glance) -> None:
    for index in range(5):
        step(hand, glance, index)

    assert (hand.keep, hand.in_hand, glance.last, len(glance.trail)) == (False, None, None, 5)


def test_who_looks_gets_the_next_frame_with_its_own_result_and_it_is_let_go(hand: HeldFrame, glance: Glance) -> None:
    step(hand, glance, 0)
    found: list[Sight | None] = []
    thread = look(glance, found)
    until(lambda: hand.keep, "it is asked for")
    step(hand, glance, 1)
    thread.join(30)
    step(hand, glance, 2)

    assert found[0] is not None
    assert found[0].frame.stamp == found[0].result.stamp == stamp(1, 1)
    assert (hand.keep, hand.in_hand) == (False, None)


def test_several_who_look_share_one_frame(hand: HeldFrame, glance: Glance) -> None:
    found: list[Sight | None] = []
    threads = [look(glance, found) for _ in range(3)]
    until(lambda: glance._wanted == 3, "all have asked")
    step(hand, glance, 1)
    for thread in threads:
        thread.join(30)

    assert found[0] is not None
    assert all(one is found[0] for one in found)


def test_a_thousand_results_wait_for_nobody_who_looked_and_does_nothing_with_it(
    hand: HeldFrame, glance: Glance
) -> None:
    found: list[Sight | None] = []
    thread = look(glance, found)
    until(lambda: hand.keep, "it is asked for")
    began = time.thread_time()
    for index in range(1000):
        step(hand, glance, index)
    took_s = time.thread_time() - began
    thread.join(30)

    assert found[0] is not None
    assert hand.in_hand is None
    assert took_s < 1.0  # a picture drawn and encoded for each would take several


def test_where_nothing_comes_there_is_nothing_to_see(glance: Glance) -> None:
    assert glance.take(0.01) is None
    assert glance.last is None


def test_what_nobody_may_look_at_is_not_remembered_until_somebody_may(hand: HeldFrame) -> None:
    is_open: list[bool] = []
    glance = Glance(hand, lambda: bool(is_open))
    step(hand, glance, 1)
    is_open.append(True)
    step(hand, glance, 2)
    step(hand, glance, 3)

    assert len(glance.trail) == 2
