from __future__ import annotations

from edged.assembly.settling import QUIET_S, Settling
from tests.fakes.clock import FakeClock


class Start:
    """A start whose models are opened by the test."""

    def __init__(self) -> None:
        self.opened = self.given_back = 0
        self.clock = FakeClock()
        self.settling = Settling(lambda: self.opened, self.clock, self._give_back)

    def _give_back(self) -> None:
        self.given_back += 1

    def pass_s(self, seconds: float) -> None:
        """Let time pass, with a tick at its end."""
        self.clock.advance(seconds)
        self.settling.tick()


def test_nothing_is_given_back_while_models_are_being_opened() -> None:
    start = Start()
    for _ in range(5):
        start.opened += 1
        start.pass_s(QUIET_S - 0.5)
    assert start.given_back == 0


def test_what_starting_took_is_given_back_once_after_the_last_model() -> None:
    start = Start()
    start.opened += 1
    start.pass_s(0.5)
    for _ in range(5):
        start.pass_s(QUIET_S)
    assert start.given_back == 1
    assert repr(start.settling) == "<Settling settled>"


def test_a_box_that_opens_no_model_settles_too() -> None:
    start = Start()
    start.pass_s(QUIET_S)
    assert start.given_back == 1


def test_a_model_that_is_exchanged_later_is_given_back_after_in_its_turn() -> None:
    start = Start()
    start.pass_s(QUIET_S)
    start.opened += 1
    start.pass_s(0.5)
    assert repr(start.settling) == "<Settling waits for quiet>"
    start.pass_s(QUIET_S)
    assert start.given_back == 2
