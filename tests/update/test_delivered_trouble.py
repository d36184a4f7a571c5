"""The way of an ordered release whose file is wrong or damaged, or which the box has no room for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edged.domain.errors import BundleError, DeviceError, EngineLostError, RejectedError, RetryableError
from edged.update.delivered import COPIES, RESERVE_BYTES
from edged.update.manifest import MAX_LABELS_BYTES
from edged.update.probation import COMMIT
from edged.update.records import Release
from edged.update.rollout import Event, State
from fakes.site import MODEL, Air, Tried, committed


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


def test_what_was_refused_leaves_nothing_behind(air: Air) -> None:
    order = air.order().model_copy(update={"version": "9.9.9"})

    assert air.carry(order) == "rejected"

    assert list((air.state / "incoming").iterdir()) == []


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


def test_a_release_that_is_gone_from_the_store_before_its_trial_is_fetched_again(air: Air) -> None:
    order = air.order()
    slots = air.updater().slots
    slots.advance(MODEL, Event.ORDERED, order=order)
    for event in (Event.BEGUN, Event.NEEDED, Event.FETCHED, Event.STORED, Event.TRYING):
        slots.advance(MODEL, event)

    assert (air.carry(order), air.knobs.fetched) == ("probation", ["2.0.0"])


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
