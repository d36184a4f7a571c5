"""What takes long, hangs or ends keeps the agent from nothing that is due."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.assembly.errands import Errands
from edged.assembly.updating import Updating
from edged.domain.errors import RetryableError
from edged.update.archive import unpack
from edged.update.probation import WATCH, Verdict
from edged.update.shadow import Ruling
from fakes.orderedbox import MODEL, Fleet
from fakes.ordering import DEVICE, LINE, envelope
from fakes.site import Tried
from fakes.waiting import LONGEST_S, until


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


@pytest.fixture
def running(fleet: Fleet) -> Iterator[Fleet]:
    """Give an agent with its thread."""
    fleet.agent.start()
    yield fleet
    fleet.agent.stop()
    assert fleet.agent.join(LONGEST_S)


def test_on_its_thread_it_works_by_itself(running: Fleet) -> None:
    running.order("2.0.0")

    until(lambda: (MODEL, "committed") in running.said(), "the order is carried out")

    assert repr(running.agent).endswith("<Accepted device:press-07 1>>")
    assert list(running.agent.reasons()) == []


def test_a_fault_of_its_own_does_not_end_it(running: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    broke = threading.Event()

    def broken(*_: object) -> None:
        broke.set()
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(running.courier, "judge", broken)
        running.order("2.0.0")
        assert broke.wait(LONGEST_S)
    running.agent.reload()

    until(lambda: (MODEL, "committed") in running.said(), "the order is carried out all the same")


def test_one_that_never_began_ends_at_once(fleet: Fleet) -> None:
    assert fleet.agent.join(0.0)


def ended(fleet: Fleet, is_busy: Callable[[], bool]) -> Updating:
    """Have edged asked to end while its agent does something, and start anew before the agent has ended; gives that agent."""
    before = fleet.agent
    before.start()
    until(is_busy, "the agent is busy")
    before.stop()
    fleet.began()
    return before


def test_an_end_that_was_asked_for_is_none_of_a_probation_s_crashes_though_the_agent_is_busy(fleet: Fleet) -> None:
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    gate, judging = threading.Event(), threading.Event()

    def judge(*_: object) -> None:
        judging.set()
        gate.wait(LONGEST_S)
        raise RetryableError("cannot reach it: no route", code="network")

    fleet.courier.judge = judge  # type: ignore[method-assign, assignment]
    agents = []
    for seq in range(3):
        judging.clear()
        fleet.agent.take(LINE, envelope(50 + seq, {}, audience=LINE))
        agents.append(ended(fleet, judging.is_set))
    gate.set()
    assert all(agent.join(LONGEST_S) for agent in agents)

    assert (fleet.slot().state.value, fleet.slot().attempt, fleet.live()) == ("probation", 0, "2.0.0")


def test_an_end_that_was_asked_for_is_no_trial_that_was_interrupted(fleet: Fleet) -> None:
    gate, trying = threading.Event(), threading.Event()

    def trial() -> Tried:
        trying.set()
        gate.wait(LONGEST_S)
        raise RetryableError("cannot go on with the trial: it was cancelled", code="cancelled")

    fleet.trial = trial
    fleet.order("2.0.0")
    agents = []
    for _ in range(4):
        trying.clear()
        agents.append(ended(fleet, trying.is_set))
    gate.set()
    assert all(agent.join(LONGEST_S) for agent in agents)
    fleet.trial = lambda: Tried(passed=True)
    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live()) == ("committed", "2.0.0")


def test_a_model_that_is_tried_from_a_folder_for_minutes_keeps_nobody_from_watching(fleet: Fleet) -> None:
    configuring = Looked()
    fleet.agent.configuring = configuring
    fleet.order("2.0.0")

    with fleet.supply.turn():  # as long as a folder's model is tried
        assert fleet.agent.tick() == 1.0
        assert fleet.agent.tick() == 1.0

    assert (configuring.ticks, fleet.said()) == (2, [])
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_an_order_is_taken_back_once_the_folders_models_had_their_turn(fleet: Fleet) -> None:
    fleet.waits = "its window"
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.order(None)

    with fleet.supply.turn():
        fleet.agent.tick()
        assert fleet.slot().state.value == "ready"
    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live()) == ("cancelled", "1.0.0")


class Looked:
    """An ordered configuration on probation: it wants to be looked at in a second."""

    ticks = 0

    def tick(self, _desired: Any) -> float | None:
        self.ticks += 1
        return 1.0

    def ended_well(self) -> None:
        """It needs nothing."""


def held_up(fleet: Fleet, may: threading.Event, errands: Errands) -> str:
    """Carry out an order, one step of which lasts until it ``may`` end; gives the state it was in while others were looked at."""
    configuring = Looked()
    fleet.agent.configuring = configuring
    fleet.order("2.0.0")
    assert fleet.agent.tick() <= 1.0
    before = configuring.ticks
    fleet.agent.tick()
    state = fleet.slot().state.value
    assert configuring.ticks == before + 1
    may.set()
    assert errands.join(LONGEST_S)
    fleet.agent.tick()
    return state


def test_a_long_download_keeps_nobody_from_watching_what_is_on_probation(fleet: Fleet) -> None:
    may, errands = threading.Event(), Errands(fleet.agent.nudge)
    assert fleet.agent.site is not None

    def fetch(model: str, order: Any, progress: Any, cancelled: Any) -> Any:
        return errands.ask(model, order, lambda: may.wait(LONGEST_S) and fleet.fetch(model, order, progress, cancelled))

    fleet.agent.site = replace(fleet.agent.site, fetch=fetch)

    assert held_up(fleet, may, errands) == "downloading"
    assert fleet.live() == "2.0.0"


def test_a_release_that_takes_long_to_be_kept_keeps_nobody_from_watching(fleet: Fleet) -> None:
    may, errands = threading.Event(), Errands(fleet.agent.nudge)
    assert fleet.agent.site is not None

    def slow(file: Path, folder: Path) -> None:
        assert may.wait(LONGEST_S)
        unpack(file, folder)

    fleet.agent.site = replace(fleet.agent.site, unpack=slow, apart=errands.ask)

    assert held_up(fleet, may, errands) == "verifying"
    assert fleet.live() == "2.0.0"
    assert list((fleet.state / "incoming").iterdir()) == []


def test_a_repository_that_hangs_keeps_nobody_from_taking_back_what_is_on_probation(fleet: Fleet) -> None:
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    hangs, errands, judge = threading.Event(), Errands(fleet.agent.nudge), fleet.courier.judge

    def slow(*asked: Any) -> Any:
        hangs.wait(LONGEST_S)
        return judge(*asked)

    fleet.courier.judge = slow  # type: ignore[method-assign, assignment]
    fleet.agent.asks = errands.ask
    fleet.agent.take(LINE, envelope(50, {}, audience=LINE))
    assert fleet.agent.tick() <= 1.0
    fleet.verdict = Verdict("roll-back", "slow")

    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live()) == ("rolled-back", "1.0.0")
    hangs.set()
    assert errands.join(LONGEST_S)
    fleet.agent.tick()
    assert fleet.courier.judged == [DEVICE, LINE]
    assert "line-a 50" in repr(fleet.agent)


def test_nothing_goes_live_while_a_word_is_judged_that_may_take_it_back(fleet: Fleet) -> None:
    hangs, errands, judge = threading.Event(), Errands(fleet.agent.nudge), fleet.courier.judge
    fleet.waits = "its window"
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.courier.judge = lambda *asked: hangs.wait(LONGEST_S) and judge(*asked)  # type: ignore[method-assign, assignment]
    fleet.agent.asks = errands.ask
    fleet.order(None)
    fleet.agent.tick()
    fleet.waits = None

    assert fleet.agent.tick() == 1.0
    assert fleet.slot().state.value == "ready"

    hangs.set()
    assert errands.join(LONGEST_S)
    fleet.agent.tick()
    assert (fleet.slot().state.value, fleet.live()) == ("cancelled", "1.0.0")


def test_what_runs_beside_is_ended_when_a_later_order_comes_and_when_edged_ends(fleet: Fleet) -> None:
    parted: list[str] = []
    assert fleet.agent.site is not None
    comparing = Ruling("compare")
    fleet.agent.site = replace(fleet.agent.site, shadow=lambda _: comparing, part=parted.append)
    fleet.order("2.0.0", shadow_one_in=1)
    fleet.agent.tick()
    assert (fleet.slot().state.value, parted) == ("shadowing", [])

    fleet.order("3.0.0", shadow_one_in=1)
    fleet.agent.tick()

    assert (fleet.slot().state.value, parted) == ("shadowing", [MODEL])
    fleet.agent.start()
    fleet.agent.stop()
    assert fleet.agent.join(LONGEST_S)
    assert parted == [MODEL, MODEL]
