"""The way of an ordered release, state by state; the numbered cases are in test_cases_storage and test_cases_behaviour."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.domain.errors import RetryableError
from edged.update.configured import restored
from edged.update.delivered import ordered
from edged.update.desired import Audience, Desired, ModelOrder, Order
from edged.update.offered import OfferedWay, Offers
from edged.update.probation import COMMIT
from edged.update.records import Pointer
from edged.update.rollout import Event, State
from edged.update.store import Store
from edged.update.way import Move, restore
from fakes.disk import FragileDisk
from fakes.site import MODEL, Air, box, committed


def test_an_ordered_release_goes_through_every_state_and_is_live(air: Air) -> None:
    air.seen.clear()

    committed(air)

    assert air.seen == [
        "accepted",
        "checking",
        "downloading",
        "verifying",
        "staged",
        "validating",
        "ready",
        "activating",
        "probation",
        "committed",
    ]
    assert air.live() == "2.0.0"
    pointer = air.records().pointer(MODEL)
    assert (pointer.previous and pointer.previous.version, pointer.finished) == ("1.0.0", True)
    assert air.knobs.progress


def test_what_was_fetched_is_removed_when_it_lies_in_the_store(air: Air) -> None:
    committed(air)

    assert list((air.state / "incoming").iterdir()) == []


def test_the_same_order_again_does_nothing(air: Air) -> None:
    air.knobs.verdict = COMMIT
    order = air.order()
    air.carry(order)
    before = air.records().pointer(MODEL)

    assert air.carry(order) == "committed"

    assert air.records().pointer(MODEL) == before


def test_a_later_order_for_what_is_live_is_noted_and_nothing_more(air: Air) -> None:
    committed(air)
    air.knobs.tried.clear()

    assert air.carry(air.order("2.0.0")) == "committed"

    pointer = air.records().pointer(MODEL)
    assert (air.knobs.tried, pointer.order and pointer.order.seq) == ([], 2)


def test_what_a_folder_offers_does_not_replace_what_was_ordered(air: Air) -> None:
    committed(air)

    air.offer("3.0.0")

    assert air.live() == "2.0.0"


def test_an_order_that_is_withdrawn_lets_the_folders_count_again(air: Air) -> None:
    committed(air)

    assert air.updater().withdraw(MODEL)
    assert air.updater().withdraw(MODEL)

    assert air.live() == "1.0.0"


def test_an_order_without_a_release_is_none_to_carry_out() -> None:
    desired = Desired(Audience("device", "press-07"), 7, 0, 1, "spring", "someone", {}, None, "d" * 64)
    wanted = ModelOrder(MODEL, "2.0.0", "parts-2.0.0.edgemodel", 9, "a" * 64, force=True, probation_s=60)

    kept = ordered(Order(wanted, desired))

    assert (kept.seq, kept.audience, kept.campaign, kept.force, kept.probation_s) == (
        7,
        "device:press-07",
        "spring",
        True,
        60,
    )
    with pytest.raises(ValueError, match="cannot keep an order for no release"):
        ordered(Order(None, desired))


def test_it_waits_ready_until_it_may_go_live(air: Air) -> None:
    order = air.order()
    air.knobs.waits = "the window opens at 01:00"
    updater, way = air.updater(), air.way(order)

    pause = updater.carry(way)

    assert (pause.why, updater.slots.pointer(MODEL).state) == ("the window opens at 01:00", State.READY)
    assert updater.carry(way).why == "the window opens at 01:00"
    assert air.live() == "1.0.0"
    air.knobs.waits = None
    assert air.carry(order) == "probation"
    assert air.knobs.tried == ["2.0.0"]


def test_nothing_goes_live_once_a_later_word_came(air: Air) -> None:
    order = air.order()
    air.knobs.waits = "the window opens at 01:00"
    air.carry(order)
    air.knobs.waits, air.knobs.is_cancelled = None, True

    assert air.carry(order) == "ready"


def test_what_another_order_waits_with_is_left(air: Air) -> None:
    waiting = air.order("3.0.0", name="other")
    air.knobs.fails = RetryableError("cannot reach it: no route", code="network")
    updater = air.updater()
    updater.carry(air.way(waiting, model="other"))
    incoming = air.state / "incoming"
    incoming.mkdir(exist_ok=True)
    (incoming / waiting.sha256).write_bytes(b"whole")
    (incoming / f"{'e' * 64}.part").write_bytes(b"what came")
    air.knobs.fails = None

    assert air.carry(air.order().model_copy(update={"version": "9.9.9"})) == "rejected"

    assert {place.name for place in incoming.iterdir()} == {waiting.sha256, f"{'e' * 64}.part"}


def test_a_release_that_does_not_open_where_it_shall_run_is_rolled_back(air: Air) -> None:
    air.knobs.runs = "gate keeps 1.0.0: no room"

    assert air.carry(air.order()) == "rolled-back"

    assert "it does not run here: gate keeps 1.0.0: no room" in air.records().pointer(MODEL).reason
    assert air.live() == "1.0.0"


def test_an_order_is_taken_up_again_after_a_folder_s_bundle_took_the_empty_slot(tmp_path: Path) -> None:
    air = box(tmp_path, live=None)
    order = air.order()
    air.knobs.waits = "later"
    updater, way = air.updater(), air.way(order)
    assert updater.carry(way).why == "later"

    air.offer("1.0.0")
    assert air.live() == "1.0.0"
    air.knobs.waits = None
    updater.carry(way)
    updater.carry(way)

    assert updater.slots.pointer(MODEL).state is State.PROBATION
    assert air.live() == "2.0.0"


def test_of_a_slot_in_which_nothing_is_live_nothing_is_withdrawn(air: Air) -> None:
    records = air.records()
    store = Store(air.state, FragileDisk())

    assert restore(MODEL, Pointer(), store, records).event is Event.EMPTIED
    assert restored(Pointer(), records).changes["active"] is None
    assert records.quarantine().releases == ()


def test_a_folder_s_bundle_is_here_and_nobody_watches_over_it(air: Air) -> None:
    records, store = air.records(), Store(air.state, FragileDisk())
    air.offer("1.1.0")
    (candidate,) = Offers([air.models], records).candidates(MODEL, None)
    way = OfferedWay(MODEL, candidate, store, records, lambda _: None)

    moves = [way.fetch(Pointer()), way.watch(Pointer())]

    assert [move.event for move in moves if isinstance(move, Move)] == [Event.FETCHED, Event.KEPT]
