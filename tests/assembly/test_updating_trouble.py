"""The agent in trouble: what cannot be judged, fetched or written now, what was tampered with, and faults of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edged.domain.errors import DeviceError, RetryableError
from edged.update.probation import WATCH, Verdict
from edged.update.window import waits_for
from fakes.orderedbox import MODEL, Fleet
from fakes.ordering import LINE, envelope


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_an_order_that_cannot_be_judged_now_is_judged_later(fleet: Fleet) -> None:
    fleet.courier.fails = [RetryableError("cannot reach it: no route", code="network")]
    fleet.order("2.0.0")

    wait_s = fleet.agent.tick()

    assert fleet.live() == "1.0.0"
    assert fleet.agent.tick() == pytest.approx(wait_s)
    fleet.clock.advance(wait_s)
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_a_download_that_fails_is_tried_again_after_a_while_that_grows(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    waits: list[float] = []
    trouble = RetryableError("cannot reach it: no route", code="network")

    def cut() -> None:
        if len(waits) < 3:
            raise trouble

    fleet.courier.meanwhile = cut
    while len(waits) < 3:
        waits.append(fleet.agent.tick())
        assert fleet.slot().state.value == "failed"
        fleet.clock.advance(waits[-1])

    fleet.agent.tick()

    assert waits == [5.0, 10.0, 20.0]
    assert fleet.live() == "2.0.0"


def test_a_disk_that_takes_no_note_is_told_and_changes_nothing(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 31: no space at the pointer's write → FAILED, the old model serves."""
    fleet.order("2.0.0")
    error = DeviceError("cannot write pointer.json: No space left on device", code="disk")

    def full(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as disk:
        disk.setattr(type(fleet.supply.updater.slots.records), "point", full)
        wait_s = fleet.agent.tick()

    assert (fleet.last()["state"], fleet.last()["code"], fleet.live()) == ("failed", "disk", "1.0.0")
    fleet.clock.advance(wait_s)
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_a_rollback_calls_somebody(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    fleet.verdict = Verdict("roll-back", "slow")

    fleet.agent.tick()

    (alert,) = fleet.outbox.bodies("alert")
    assert (alert["code"], alert["component"], alert["message"]) == (
        "model-rolled-back",
        "model:level",
        "1.0.0 goes on: slow",
    )


def test_without_the_release_before_it_the_factory_s_runs_and_somebody_is_called(fleet: Fleet) -> None:
    """Case 46: the previous release was deleted by hand → the factory's model, and an alarm."""
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    previous = fleet.slot().previous
    assert previous is not None
    (fleet.state / "store" / "sha256" / previous.digest[:2] / previous.digest).unlink()
    fleet.verdict = Verdict("roll-back", "slow")

    fleet.agent.tick()

    (alert,) = fleet.outbox.bodies("alert")
    assert "what the folders offer is next: slow" in str(alert["message"])
    assert fleet.live() == "1.0.0"


def test_a_fault_in_judging_holds_up_no_rollback(fleet: Fleet) -> None:
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.courier.fails = [OSError(28, "No usable temporary directory")]
    fleet.agent.take(LINE, envelope(50, {}, audience=LINE))
    fleet.verdict = Verdict("roll-back", "slow")

    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live()) == ("rolled-back", "1.0.0")


def test_a_fault_in_one_audience_s_order_holds_up_no_other(fleet: Fleet) -> None:
    fleet.agent.take(LINE, envelope(50, {}, audience=LINE))
    fleet.order("2.0.0")
    fleet.courier.fails = [RuntimeError("unexpected")]

    fleet.agent.tick()

    assert fleet.live() == "2.0.0"


def test_a_fault_in_the_configuration_holds_up_no_model(fleet: Fleet) -> None:
    class Broken:
        def tick(self, _desired: object) -> float | None:
            raise RuntimeError

        def ended_well(self) -> None:
            pass

    fleet.agent.configuring = Broken()
    fleet.order("2.0.0")

    assert fleet.agent.tick() <= 1.0

    assert fleet.live() == "2.0.0"


def test_an_order_that_cannot_be_judged_is_told_once_for_each_cause_until_it_can(fleet: Fleet) -> None:
    unreachable = RetryableError("cannot reach it: no route", code="network")
    attack = RetryableError("cannot trust it: its root is 1, expected 3", code="rollback-attack")
    fleet.courier.fails = [unreachable, unreachable, attack, attack]
    fleet.order("2.0.0")
    grades = []
    for _ in range(4):
        fleet.agent.tick()
        grades.append([(reason.code, reason.informs) for reason in fleet.agent.reasons()])
        fleet.clock.advance(1000.0)

    fleet.agent.tick()

    told = [(body["state"], body.get("code")) for body in fleet.outbox.bodies("update") if body["model"] is None]
    assert told == [("postponed", "network"), ("postponed", "rollback-attack"), ("accepted", None)]
    assert grades == [[("order-unjudged", True)]] * 2 + [[("order-unjudged", False)]] * 2
    assert list(fleet.agent.reasons()) == []
    assert [alert["code"] for alert in fleet.outbox.bodies("alert")] == ["update-attack"]


@pytest.mark.parametrize("code", ["digest", "slow-retrieval"])
def test_a_file_that_is_not_what_was_signed_or_drips_calls_somebody_once(fleet: Fleet, code: str) -> None:
    """Case 7, the alert; whoever serves the files can bring about either."""
    trouble = RetryableError("cannot use it", code=code)

    def poisoned() -> None:
        raise trouble

    fleet.courier.meanwhile = poisoned
    fleet.order("2.0.0")
    for _ in range(3):
        fleet.clock.advance(fleet.agent.tick())

    (alert,) = fleet.outbox.bodies("alert")
    assert (alert["code"], alert["component"]) == ("update-attack", "model:level")


def test_a_rollback_that_the_disk_does_not_take_is_tried_again_every_second_and_told_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.verdict = Verdict("roll-back", "slow")
    error = DeviceError("cannot write pointer.json: No space left on device", code="disk")

    def full(*_: object) -> None:
        raise error

    with monkeypatch.context() as disk:
        disk.setattr(type(fleet.supply.updater.slots.records), "point", full)
        for _ in range(5):
            assert fleet.agent.tick() <= 1.0
            fleet.clock.advance(1.0)
    fleet.agent.tick()

    assert (fleet.live(), fleet.said().count((MODEL, "failed"))) == ("1.0.0", 1)


def test_a_repository_that_is_away_for_a_day_costs_a_few_lines_and_no_model(fleet: Fleet) -> None:
    """Case 9: what runs goes on, neither outbox nor journal grows with the tries, and the order is carried out in the end."""
    fleet.order("2.0.0")
    fleet.agent.tick()  # judged; from now on nothing can be reached
    assert fleet.live() == "2.0.0"
    fleet.order("3.0.0")
    away = RetryableError("cannot reach it: no route", code="network")
    fleet.courier.fails = [away] * 1000
    until_ns = fleet.clock.mono + 24 * 3600 * 1_000_000_000
    while fleet.clock.mono < until_ns:
        fleet.clock.advance(fleet.agent.tick())
    tries = 1000 - len(fleet.courier.fails)

    assert fleet.live() == "2.0.0"
    assert 24 * 4 <= tries < 200
    assert len([state for _, state in fleet.said() if state == "postponed"]) == 1
    assert len((fleet.state / "journal.ndjson").read_bytes()) < 64 * 1024
    fleet.courier.fails = []
    fleet.clock.advance(900.0)
    fleet.agent.tick()
    assert fleet.live() == "3.0.0"


def test_a_download_that_is_held_up_for_a_day_is_told_once_and_ends_well(fleet: Fleet) -> None:
    """Case 9: the order is known, only its file does not come."""
    assert fleet.agent.site is not None
    fetch, tries = fleet.agent.site.fetch, []

    def away(*_: Any) -> Any:
        tries.append(fleet.clock.mono)
        raise RetryableError("cannot reach it: no route", code="network")

    fleet.agent.site = replace(fleet.agent.site, fetch=away)
    fleet.order("2.0.0")
    until_ns = fleet.clock.mono + 24 * 3600 * 1_000_000_000
    while fleet.clock.mono < until_ns:
        fleet.clock.advance(fleet.agent.tick())
    told, written = len(fleet.said()), len((fleet.state / "journal.ndjson").read_bytes())

    assert (24 * 4 <= len(tries) < 200, fleet.live()) == (True, "1.0.0")
    assert written < 64 * 1024
    assert told < 5 * len(tries)
    fleet.agent.site = replace(fleet.agent.site, fetch=fetch)
    fleet.clock.advance(900.0)
    fleet.agent.reload()
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_nothing_goes_live_by_a_clock_of_1970_until_it_is_set(fleet: Fleet) -> None:
    """Case 18: it is fetched, tried and ready, and then waits."""
    assert fleet.agent.site is not None
    fleet.agent.site = replace(fleet.agent.site, waits_for=partial(waits_for, None, fleet.clock))
    now_ns, fleet.clock.wall, fleet.clock.is_synced = fleet.clock.wall, 0, False
    fleet.order("2.0.0")
    for _ in range(3):
        fleet.clock.advance(fleet.agent.tick())
    assert (fleet.slot().state.value, fleet.live()) == ("ready", "1.0.0")

    fleet.clock.wall, fleet.clock.is_synced = now_ns, True
    fleet.agent.tick()

    assert fleet.live() == "2.0.0"
