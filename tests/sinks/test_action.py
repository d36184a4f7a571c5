from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from edged.domain.errors import DeviceError
from edged.domain.result import Event, Phase
from edged.sinks.action import JUDGED, WAITING, Act, Actions
from fakes.clock import FakeClock
from fakes.results import anomaly, result, stamp
from fakes.waiting import until


class Package:
    """Brings ``call`` and ``other``; keeps what they were called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.failing = False
        self.absent = False
        self.gate = threading.Event()
        self.gate.set()

    def load(self, name: str) -> Act:
        if self.absent:
            message = f"cannot find {name!r}"
            raise DeviceError(message)

        def act(document: dict[str, Any]) -> None:
            self.gate.wait(60)
            self.calls.append((name, document.pop("phase")))
            if self.failing:
                raise RuntimeError("relay\nstuck")

        return act


@pytest.fixture
def package() -> Package:
    return Package()


@pytest.fixture
def actions(package: Package) -> Iterator[Actions]:
    made = Actions("gate", {"r": ("call", "other"), "s": ("call",)}, package.load, document, FakeClock())
    yield made
    package.gate.set()
    made.close(60)


def document(event: Event) -> dict[str, Any]:
    return {"phase": event.phase}


def event(rule: str = "s", phase: Phase = "start") -> Event:
    at = stamp(0.0)
    return Event("gate", rule, phase, at, at, result(anomaly(2.0)))


def messages(actions: Actions) -> Sequence[str]:
    return [reason.message for reason in actions.reasons()]


def test_each_event_of_a_rule_goes_to_each_of_its_actions_in_order(actions: Actions, package: Package) -> None:
    actions.start()
    for one in (event("r"), event("unheard"), event("s", "ongoing"), event("r", "end")):
        actions.event(one)
    actions.result(event().result)
    assert actions.close(60)
    assert package.calls == [
        ("call", "start"),
        ("other", "start"),
        ("call", "ongoing"),
        ("call", "end"),
        ("other", "end"),
    ]
    assert actions.reasons() == []


def test_the_rate_of_failure_is_told_until_as_many_went_well(actions: Actions, package: Package) -> None:
    actions.start()
    package.failing = True
    actions.event(event())
    until(lambda: messages(actions), "the failure is told")
    assert messages(actions) == ["action 'call': 1 of its last 1 runs failed, lately: RuntimeError: relay stuck"]
    assert [(one.code, one.component, one.fatal) for one in actions.reasons()] == [("action-failing", "gate", False)]
    package.failing = False
    for _ in range(JUDGED):
        actions.event(event())
    assert actions.close(60)
    assert actions.reasons() == []


def test_a_slow_action_holds_up_nobody_and_what_finds_no_place_is_told(actions: Actions, package: Package) -> None:
    package.gate.clear()
    actions.start()
    actions.event(event())
    until(lambda: "0 waiting" in repr(actions), "the first is in hand")
    for _ in range(WAITING + 1):
        actions.event(event())
    assert messages(actions) == [
        f"action 'call': 1 of its last 1 runs failed, lately: left out, since {WAITING} events waited for it"
    ]


def test_an_action_that_hangs_does_not_hold_up_the_end(actions: Actions, package: Package) -> None:
    package.gate.clear()
    actions.start()
    for _ in range(WAITING + 1):
        actions.event(event())
    assert not actions.close(0.01)


def test_an_action_that_cannot_be_loaded_is_told_at_once_and_tried_at_the_next_event(
    actions: Actions, package: Package
) -> None:
    package.absent = True
    actions.start()
    until(lambda: len(messages(actions)) == 2, "both are told")
    assert messages(actions)[0] == "action 'call': 1 of its last 1 runs failed, lately: cannot find 'call'"
    package.absent = False
    actions.event(event())
    assert actions.close(60)
    assert package.calls == [("call", "start")]


def test_what_never_began_is_closed_at_once(actions: Actions) -> None:
    assert actions.close(0.0)
