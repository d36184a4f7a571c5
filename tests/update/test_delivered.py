"""The way of an ordered release, state by state; the numbered cases are in test_cases_storage and test_cases_behaviour."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edged.domain.errors import BundleError, DeviceError, EngineLostError, RejectedError, RetryableError
from edged.update.configured import restored
from edged.update.delivered import COPIES, RESERVE_BYTES, ordered
from edged.update.desired import Audience, Desired, ModelOrder, Order
from edged.update.manifest import MAX_LABELS_BYTES
from edged.update.offered import OfferedWay, Offers
from edged.update.probation import COMMIT
from edged.update.records import Pointer, Release
from edged.update.rollout import Event, State
from edged.update.store import Store
from edged.update.way import Move, restore
from fakes.disk import FragileDisk
from fakes.site import MODEL, OTHER_BOOT, Air, Tried, box


@pytest.fixture
def air(tmp_path: Path) -> Air:
    return box(tmp_path)


def committed(air: Air, version: str = "2.0.0") -> Air:
    air.knobs.verdict = COMMIT
    assert air.carry(air.order(version)) == "committed"
    return air


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


@pytest.mark.parametrize(
    ("error", "state", "is_finished"),
    [
        (RetryableError("cannot reach it: no route", code="network"), "failed", False),
        (DeviceError("cannot write: No space left", code="disk"), "failed", False),
        (RejectedError("cannot use it: it is for others", code="incompatible"), "rejected", True),
        (EngineLostError("cannot reach the accelerator: unplugged"), "postponed", False),
    ],
)
def test_what_goes_wrong_is_told_apart_and_only_the_box_s_own_trouble_is_tried_again(
    air: Air, error: Exception, state: str, is_finished: bool
) -> None:
    order = air.order()
    air.knobs.fails = error

    assert air.carry(order) == state

    pointer = air.records().pointer(MODEL)
    assert pointer.finished is is_finished
    assert air.live() == "1.0.0"
    air.knobs.fails, air.knobs.verdict = None, COMMIT
    assert air.carry(order) == (state if is_finished else "committed")


def test_without_room_for_it_nothing_is_fetched(air: Air) -> None:
    order = air.order()
    air.knobs.free = COPIES * order.length + RESERVE_BYTES - 1

    assert air.carry(order) == "failed"

    assert (air.records().pointer(MODEL).code, air.knobs.fetched) == ("disk-full", [])
    air.knobs.free += 1
    assert air.carry(order) == "probation"


def test_what_came_of_downloads_that_nobody_waits_for_makes_room(air: Air) -> None:
    other = air.order(name="other")
    air.updater().take_up("other", other)
    order, incoming = air.order(), air.state / "incoming"
    incoming.mkdir()
    gone, *kept = (incoming / f"{digest}.part" for digest in ("c" * 64, other.sha256, order.sha256))
    for place in (gone, *kept):
        place.write_bytes(b"some of it")
    way = air.way(order)
    way._site = replace(way._site, free_bytes=lambda: 0 if gone.exists() else 1 << 40)

    assert air.updater().carry(way).seconds == 1.0

    assert air.records().pointer(MODEL).state is State.PROBATION
    assert [place.exists() for place in (gone, *kept)] == [False, True, True]


def test_a_file_that_is_another_model_than_was_ordered_is_refused(air: Air) -> None:
    order = air.order("2.0.0").model_copy(update={"version": "2.0.1"})

    assert air.carry(order) == "rejected"

    assert "it is parts 2.0.0, expected parts 2.0.1" in air.records().pointer(MODEL).reason


def test_a_file_that_cannot_be_unpacked_is_refused(air: Air) -> None:
    order = air.order()
    (air.path / "repository" / order.target).write_bytes(b"x" * order.length)

    assert air.carry(order) == "rejected"


def test_a_disk_that_does_not_take_what_is_unpacked_is_not_the_file_s_fault(
    air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: Path, _folder: Path) -> None:
        raise BundleError("cannot read it: No space left on device") from OSError(28, "No space left on device")

    order = air.order()
    monkeypatch.setattr("fakes.site.unpack", full)

    assert air.carry(order) == "failed"
    assert not air.records().pointer(MODEL).finished


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


def test_a_trial_that_was_interrupted_three_times_is_not_made_again(air: Air) -> None:
    order = air.order()

    def crash(_bundle: object) -> Tried:
        raise SystemExit

    air.knobs.trial = crash
    for _ in range(3):
        with pytest.raises(SystemExit):
            air.carry(order)

    assert air.carry(order) == "failed"

    pointer = air.records().pointer(MODEL)
    assert "its trial was interrupted 3 times" in pointer.reason
    assert (pointer.finished, len(air.knobs.tried), air.knobs.fetched) == (True, 3, ["2.0.0"])


def test_a_power_cut_in_a_trial_is_none_of_the_release_s_faults(air: Air) -> None:
    order = air.order()

    def cut(_bundle: object) -> Tried:
        raise SystemExit

    air.knobs.trial = cut
    for boot in range(4):
        air.boot = f"boot-{boot}"
        with pytest.raises(SystemExit):
            air.carry(order)
    air.knobs.trial = lambda _bundle: Tried(passed=True)

    assert air.carry(order) == "probation"


def test_a_trial_that_always_cuts_the_power_comes_to_an_end(air: Air) -> None:
    order = air.order()

    def cut(_bundle: object) -> Tried:
        raise SystemExit

    air.knobs.trial = cut
    for boot in range(10):
        air.boot = f"boot-{boot}"
        with suppress(SystemExit):
            air.carry(order)

    pointer = air.records().pointer(MODEL)
    assert (pointer.state, pointer.code, pointer.finished) == (State.FAILED, "state-loop", True)


def test_nothing_goes_live_once_a_later_word_came(air: Air) -> None:
    order = air.order()
    air.knobs.waits = "the window opens at 01:00"
    air.carry(order)
    air.knobs.waits, air.knobs.is_cancelled = None, True

    assert air.carry(order) == "ready"


def test_what_was_refused_leaves_nothing_behind(air: Air) -> None:
    order = air.order().model_copy(update={"version": "9.9.9"})

    assert air.carry(order) == "rejected"

    assert list((air.state / "incoming").iterdir()) == []


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


def test_a_probation_goes_on_after_a_restart_and_has_what_runs_look_again(air: Air) -> None:
    order = air.order()
    updater, way = air.updater(), air.way(order)
    updater.carry(way)
    air.clock.advance(60)
    updater.carry(way)

    air.clock.advance(5)
    air.carry(order)

    assert [round(one.running_s) for one in air.knobs.watched] == [0, 60, 0]
    assert air.knobs.activated == ["2.0.0", "2.0.0"]
    assert air.knobs.watched[0].before is not None
    assert air.knobs.watched[0].before.version == "1.0.0"


def test_trouble_while_it_is_watched_is_no_verdict(air: Air) -> None:
    order = air.order()
    updater, way = air.updater(), air.way(order)
    updater.carry(way)
    air.knobs.verdict_fails = EngineLostError("cannot ask: away")

    assert updater.carry(way).why == "cannot ask: away"
    assert updater.slots.pointer(MODEL).state is State.PROBATION


def test_a_release_that_is_damaged_in_the_store_while_it_waits_is_fetched_again(air: Air) -> None:
    order = air.order()
    air.knobs.waits = "later"
    air.carry(order)
    (blob,) = [file for file in (air.state / "store").rglob("*") if file.is_file() and file.read_bytes() == b"2.0.0"]
    blob.write_bytes(b"2.0.1")
    air.knobs.waits = None

    assert air.carry(order) == "probation"
    assert air.knobs.fetched == ["2.0.0", "2.0.0"]


def test_a_release_that_is_damaged_between_its_trial_and_its_switch_is_fetched_again(air: Air) -> None:
    order = air.order()
    air.knobs.waits = "later"
    air.carry(order)
    updater = air.updater()
    updater.slots.advance(MODEL, Event.OPENED)
    (blob,) = [file for file in (air.state / "store").rglob("*") if file.is_file() and file.read_bytes() == b"2.0.0"]
    blob.write_bytes(b"2.0.1")
    air.knobs.waits = None

    assert air.carry(order) == "probation"
    assert air.knobs.fetched == ["2.0.0", "2.0.0"]


def test_content_that_is_in_quarantine_is_refused_in_another_file_too(air: Air) -> None:
    air.knobs.trial = lambda _: Tried(passed=False, reason="NaN")
    air.carry(air.order())
    held = air.records().quarantine().releases[0].release
    (air.state / "quarantine.json").unlink()
    (air.state / "quarantine.json~").unlink()
    air.records().quarantine_release(MODEL, Release(digest=held.digest, version="2.0.0"), "NaN")

    assert air.carry(air.order()) == "failed"
    assert air.knobs.tried == ["2.0.0"]


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


def test_a_start_on_another_boot_is_no_crash(air: Air) -> None:
    order = air.order()
    air.carry(order)
    for number in range(5):
        air.boot = f"{OTHER_BOOT[:-1]}{number}"
        assert air.carry(order) == "probation"


def test_an_end_that_was_asked_for_is_no_crash(air: Air) -> None:
    order = air.order()
    air.carry(order)
    for _ in range(5):
        air.updater().ended_well()
        assert air.carry(order) == "probation"


def test_a_download_that_is_called_back_stays_where_it_is(air: Air) -> None:
    order = air.order()
    air.knobs.is_cancelled = True
    updater = air.updater()

    pause = updater.carry(air.way(order))

    assert (pause.seconds, updater.slots.pointer(MODEL).state) == (0.0, State.DOWNLOADING)
    air.knobs.is_cancelled = False
    assert air.carry(order) == "probation"


def test_a_restart_while_it_is_verified_fetches_what_is_not_in_the_store_again(air: Air) -> None:
    order = air.order()
    slots = air.updater().slots
    slots.advance(MODEL, Event.ORDERED, order=order)
    for event in (Event.BEGUN, Event.NEEDED, Event.FETCHED):
        slots.advance(MODEL, event)

    assert (air.carry(order), air.knobs.fetched) == ("probation", ["2.0.0"])


def test_a_release_that_is_gone_from_the_store_before_its_trial_is_fetched_again(air: Air) -> None:
    order = air.order()
    slots = air.updater().slots
    slots.advance(MODEL, Event.ORDERED, order=order)
    for event in (Event.BEGUN, Event.NEEDED, Event.FETCHED, Event.STORED, Event.TRYING):
        slots.advance(MODEL, event)

    assert (air.carry(order), air.knobs.fetched) == ("probation", ["2.0.0"])


def test_an_end_without_a_probation_leaves_the_pointer_alone(air: Air) -> None:
    before = air.records().pointer(MODEL)

    air.updater().ended_well()

    assert air.records().pointer(MODEL) == before


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


def spoiling(*contents: str | None) -> Callable[[Path], None]:
    """Give what writes each of these into the labels, one at a time; None leaves them."""
    left = list(contents)

    def spoil(folder: Path) -> None:
        content = left.pop(0)
        if content is not None:
            (folder / "labels.txt").write_text(content, "utf-8")

    return spoil


def test_a_disk_that_gives_something_else_once_costs_an_order_nothing(air: Air) -> None:
    air.knobs.spoils = spoiling("", None)

    committed(air)

    assert air.live() == "2.0.0"


def test_a_disk_that_gives_something_else_each_time_is_blamed_and_not_the_release(air: Air) -> None:
    order = air.order()
    long = "x" * (MAX_LABELS_BYTES + 1)
    air.knobs.spoils = spoiling("", long)
    assert air.carry(order) == "failed"
    pointer = air.records().pointer(MODEL)
    assert (pointer.code, pointer.finished) == ("disk", False)

    air.knobs.spoils, air.knobs.verdict = spoiling(None), COMMIT

    assert air.carry(order) == "committed"


def test_a_release_that_is_wrong_each_time_is_rejected(air: Air) -> None:
    air.knobs.spoils = spoiling("", "")
    assert air.carry(air.order()) == "rejected"


def test_what_the_system_does_not_read_is_no_fault_of_the_release(air: Air, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_bundle: object) -> None:
        message = "cannot read golden/first.npy: Input/output error"
        raise BundleError(message) from OSError(5, "Input/output error")

    order = air.order()
    with monkeypatch.context() as broken:
        broken.setattr("edged.update.delivered.listing_of", unreadable)
        assert air.carry(order) == "failed"
    assert air.records().pointer(MODEL).code == "disk"
    air.knobs.verdict = COMMIT
    assert air.carry(order) == "committed"
