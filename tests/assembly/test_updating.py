"""The agent, with a courier that needs no signatures: from an order to a pipeline that runs what it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.assembly.updating import FOLDER
from edged.domain.errors import RetryableError
from edged.fleet.schemas import UpdateDocument
from edged.update.probation import COMMIT, WATCH
from fakes.orderedbox import MODEL, Fleet
from fakes.ordering import DEVICE, LINE, envelope
from fakes.sensor import sensor_bundle


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_an_order_is_carried_out_and_every_transition_is_told(fleet: Fleet) -> None:
    fleet.order("2.0.0")

    fleet.agent.tick()

    assert fleet.live() == "2.0.0"
    states = [state for model, state in fleet.said() if model == MODEL]
    assert states == [
        "accepted",
        "checking",
        "downloading",
        "downloading",
        "verifying",
        "staged",
        "validating",
        "ready",
        "activating",
        "probation",
        "committed",
    ]
    told = fleet.last()
    assert (told["version"], told["order"]["seq"], told["order"]["by"]) == ("2.0.0", 1, "someone")
    for number, body in enumerate(fleet.outbox.bodies("update"), 1):
        UpdateDocument.model_validate({**body, "device": "press-07", "seq": number})
    (progress,) = [body["progress"] for body in fleet.outbox.bodies("update") if "progress" in body]
    assert progress["done_bytes"] * 2 <= progress["total_bytes"] + 1


def test_what_the_broker_repeats_is_neither_judged_nor_done_again(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    fleet.agent.tick()
    said = len(fleet.said())
    again = envelope(1, {MODEL: fleet.publish("2.0.0")})

    fleet.agent.take(DEVICE, again)
    fleet.agent.take(DEVICE, b"")
    fleet.agent.tick()

    assert (fleet.courier.judged, len(fleet.said())) == ([DEVICE], said)


def test_after_a_restart_without_a_broker_the_order_goes_on(fleet: Fleet) -> None:
    fleet.waits = "the window"
    fleet.order("2.0.0")
    assert fleet.agent.tick() == 1.0
    fleet.waits = None

    fleet.began()
    fleet.agent.tick()

    assert fleet.live() == "2.0.0"
    assert fleet.courier.fetched == ["2.0.0"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"\0" * 200, b"[" * 100_000, b'{"payload": 3}'])
def test_an_order_that_was_forgotten_is_taken_from_the_broker_again(fleet: Fleet, damage: bytes) -> None:
    fleet.order("2.0.0")
    fleet.agent.tick()
    (fleet.state / "orders" / "device.json").write_bytes(damage)

    fleet.began()
    fleet.order("3.0.0")
    fleet.agent.tick()

    assert fleet.live() == "3.0.0"


def test_the_device_s_order_beats_its_group_s(fleet: Fleet) -> None:
    fleet.order("2.0.0", LINE)
    fleet.agent.tick()
    fleet.order("3.0.0")
    fleet.agent.tick()
    fleet.order("4.0.0", LINE)
    fleet.agent.tick()

    assert fleet.live() == "3.0.0"


def test_an_order_that_is_not_to_be_followed_is_refused_and_told(fleet: Fleet) -> None:
    """Case 23: an order for another device or group → REJECTED."""
    fleet.agent.take(DEVICE, envelope(1, {}, audience=LINE))

    fleet.agent.tick()

    told = fleet.last()
    assert (told["state"], told["code"], told["audience"]) == ("rejected", "other-audience", "device:press-07")
    assert fleet.agent.tick() == 30.0


def test_a_later_order_interrupts_a_download_and_takes_its_place(fleet: Fleet) -> None:
    """Case 48: a new order during DOWNLOADING → SUPERSEDED."""
    fleet.order("2.0.0")
    orders = iter(["3.0.0"])
    fleet.courier.meanwhile = lambda: fleet.order(next(orders)) if fleet.seq == 1 else None

    fleet.agent.tick()
    fleet.agent.tick()

    assert fleet.live() == "3.0.0"
    assert (MODEL, "superseded") in fleet.said()
    assert fleet.courier.fetched == ["3.0.0"]


def test_a_word_that_does_not_concern_a_download_only_interrupts_it(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    words = [envelope(1, {"other": None}, audience=LINE)]
    fleet.courier.meanwhile = lambda: fleet.agent.take(LINE, words.pop()) if words else None

    assert fleet.agent.tick() == 0.0
    fleet.agent.tick()

    assert fleet.live() == "2.0.0"
    assert (MODEL, "superseded") not in fleet.said()


def test_a_later_order_waits_until_the_one_on_probation_is_committed(fleet: Fleet) -> None:
    """Case 48: a new order during PROBATION is queued until the commit."""
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.order("3.0.0")
    fleet.agent.tick()
    assert (fleet.live(), fleet.slot().state.value) == ("2.0.0", "probation")

    fleet.verdict = COMMIT
    assert fleet.agent.tick() == 0.0
    fleet.agent.tick()

    assert fleet.live() == "3.0.0"
    previous = fleet.slot().previous
    assert previous is not None
    assert previous.version == "2.0.0"


def test_an_order_is_taken_back_while_it_is_fetched(fleet: Fleet) -> None:
    """Case 49: cancelled before ACTIVATING → CANCELLED."""
    fleet.order("2.0.0")
    fleet.courier.meanwhile = lambda: fleet.order(None) if fleet.seq == 1 else None

    fleet.agent.tick()
    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live(), fleet.slot().order) == ("cancelled", "1.0.0", None)


def test_an_order_on_probation_cannot_be_taken_back_and_the_folders_count_afterwards(fleet: Fleet) -> None:
    """Case 49: cancelled after ACTIVATING → CANCEL_REJECTED."""
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.order(None)
    fleet.agent.tick()
    fleet.agent.tick()
    assert fleet.said().count((MODEL, "cancel-rejected")) == 1
    assert fleet.slot().state.value == "probation"

    fleet.verdict = COMMIT
    fleet.agent.tick()
    fleet.agent.tick()

    assert fleet.live() == "1.0.0"


def test_no_order_and_nothing_asked_for_is_nothing_to_do(fleet: Fleet) -> None:
    fleet.order(None)

    assert fleet.agent.tick() == 30.0
    assert fleet.live() == "1.0.0"


def test_an_order_that_ended_before_it_was_begun_is_not_begun(fleet: Fleet) -> None:
    fleet.clock.step_wall(2 * 365 * 86_400)
    fleet.order("2.0.0")

    fleet.agent.tick()
    fleet.agent.tick()

    assert fleet.live() == "1.0.0"
    assert [body["code"] for body in fleet.outbox.bodies("update")] == ["expired"]


def test_what_a_folder_brings_is_told_when_it_is_over(fleet: Fleet) -> None:
    sensor_bundle(fleet.path / "models" / "newer", version="1.1.0")

    assert fleet.live() == "1.1.0"

    assert fleet.said() == [(MODEL, "committed")]
    assert fleet.last()["order"] is None


def test_an_order_that_is_being_judged_when_edged_ends_is_judged_at_the_next_start(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    fleet.agent.stop()

    fleet.agent.tick()

    assert (fleet.courier.judged, fleet.said()) == ([], [])


def test_asked_to_look_again_it_does_so_at_once(fleet: Fleet) -> None:
    fleet.courier.fails = [RetryableError("cannot reach it: no route", code="network")]
    fleet.order("2.0.0")
    fleet.agent.tick()

    fleet.agent.reload()
    fleet.agent.tick()

    assert fleet.live() == "2.0.0"


def test_an_order_on_a_stick_pushes_no_later_one_out_that_was_not_judged_yet(fleet: Fleet) -> None:
    later, older = (envelope(seq, {MODEL: fleet.publish(f"{seq}.0.0")}) for seq in (3, 2))

    fleet.agent.take(DEVICE, later)
    fleet.agent.take(DEVICE, older, where=FOLDER)
    fleet.agent.tick()

    assert fleet.courier.judged == [DEVICE, DEVICE]
