from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError, RejectedError, RetryableError
from edged.update.desired import Audience, Desired
from edged.update.disk import LocalDisk
from edged.update.trust import EARLIEST_MS, FLOOR_STEP_MS, MAX_ORDERS, Followed, Mark, Marks, read_marks
from edged.update.trust_file import TrustFile
from fakes.disk import FragileDisk, PowerCutError

HOUR_MS = FLOOR_STEP_MS
LATER_MS = EARLIEST_MS + 100 * HOUR_MS


def desired(seq: int, digest: str = "a", name: str = "press-07") -> Desired:
    return Desired(Audience("device", name), seq, 0, 1, "", "", {}, None, digest)


SEEN = Marks().with_roles({"root": Mark(3, ""), "timestamp": Mark(9, "k1")}).with_order(desired(12))


def test_a_version_that_falls_under_the_same_keys_is_an_attack() -> None:
    with pytest.raises(RetryableError, match="its timestamp is version 8, expected 9 or newer") as refused:
        SEEN.with_roles({"timestamp": Mark(8, "k1")})
    assert refused.value.code == "rollback-attack"


def test_versions_begin_anew_under_other_keys() -> None:
    assert SEEN.with_roles({"timestamp": Mark(1, "k2")}).roles["timestamp"] == Mark(1, "k2")


def test_the_roots_version_never_falls() -> None:
    with pytest.raises(RetryableError, match="its root is version 2"):
        SEEN.with_roles({"root": Mark(2, "")})


def test_what_was_not_shown_this_time_is_remembered() -> None:
    assert SEEN.with_roles({"root": Mark(4, "")}).roles["timestamp"] == Mark(9, "k1")


def test_orders_are_counted_for_each_audience_and_the_same_again_is_none_new() -> None:
    assert SEEN.with_order(desired(12)) == SEEN
    assert SEEN.with_order(desired(1, name="line-a")).orders["device:line-a"] == Followed(1, "a")
    with pytest.raises(RejectedError, match="a later one came before, expected 12 or more"):
        SEEN.with_order(desired(11))
    with pytest.raises(RejectedError, match="another one had this number, expected 13 or more"):
        SEEN.with_order(desired(12, "b"))


def test_the_number_of_remembered_audiences_is_bounded_and_the_oldest_goes() -> None:
    marks = Marks()
    for number in range(MAX_ORDERS + 5):
        marks = marks.with_order(desired(1, name=f"line-{number}"))
    assert len(marks.orders) == MAX_ORDERS
    assert "device:line-4" not in marks.orders
    assert f"device:line-{MAX_ORDERS + 4}" in marks.orders


def test_time_is_the_clocks_but_never_before_the_floor() -> None:
    marks = Marks(floor_ms=LATER_MS)
    assert marks.time_ms(0) == LATER_MS
    assert marks.time_ms(LATER_MS + 1) == LATER_MS + 1


@pytest.mark.parametrize(
    ("wall_ms", "synced", "signed_ms", "floor_ms"),
    [
        (LATER_MS, True, 0, LATER_MS),
        (LATER_MS, False, 0, EARLIEST_MS),
        (LATER_MS, False, EARLIEST_MS + 2 * HOUR_MS, EARLIEST_MS + 2 * HOUR_MS),
        (EARLIEST_MS + HOUR_MS, True, LATER_MS, EARLIEST_MS + HOUR_MS),
        (EARLIEST_MS + HOUR_MS - 1, True, 0, EARLIEST_MS),
        (0, True, 0, EARLIEST_MS),
    ],
    ids=["synced", "unset", "signed", "the clock over what is signed", "less than an hour", "back"],
)
def test_the_floor_rises_with_a_clock_that_is_set_or_with_what_was_signed(
    wall_ms: int, synced: bool, signed_ms: int, floor_ms: int
) -> None:
    assert Marks().after(wall_ms, synced=synced, signed_ms=signed_ms).floor_ms == floor_ms


def test_what_is_written_is_read_again() -> None:
    assert read_marks(json.loads(json.dumps(SEEN.told()))) == SEEN


@pytest.mark.parametrize(
    "document", [[], {}, {"serial": 1, "floor_ms": 0, "roles": [], "orders": {}}, {"serial": "x", "floor_ms": 0}]
)
def test_what_are_no_marks_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"cannot read the marks|invalid literal"):
        read_marks(document)


# -- on the disk


def test_either_place_is_enough_and_the_newer_counts(tmp_path: Path) -> None:
    file = TrustFile(tmp_path, LocalDisk())
    kept = file.keep(SEEN)
    for place in (tmp_path / "trust.json", tmp_path / "trust" / "trust.json"):
        before = place.read_bytes()
        place.write_bytes(b"\0" * 20)
        assert file.read() == kept
        place.unlink()
        assert file.read() == kept
        place.write_bytes(before)
    old = (tmp_path / "trust.json").read_bytes()
    newer = file.keep(kept.with_order(desired(13)))
    (tmp_path / "trust.json").write_bytes(old)
    assert file.read() == newer


def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    disk = FragileDisk()
    file = TrustFile(tmp_path, disk)
    file.keep(SEEN)
    before = disk.operations
    file.keep(replace(SEEN, serial=77))
    assert disk.operations == before


def test_a_lost_copy_is_written_again(tmp_path: Path) -> None:
    file = TrustFile(tmp_path, LocalDisk())
    file.keep(SEEN)
    (tmp_path / "trust.json").unlink()
    file.keep(SEEN)
    assert (tmp_path / "trust.json").exists()


@pytest.mark.parametrize("loses", [(False, False), (True, True), (True, False), (False, True)])
def test_a_power_cut_leaves_the_old_or_the_new_marks(tmp_path: Path, loses: tuple[bool, bool]) -> None:
    cut = 0
    while True:
        cut += 1
        state = tmp_path / str(cut)
        state.mkdir()
        before = TrustFile(state, LocalDisk()).keep(SEEN)
        after = SEEN.with_order(desired(13))
        disk = FragileDisk(cut, *loses)
        try:
            TrustFile(state, disk).keep(after)
        except PowerCutError:
            found = TrustFile(state, LocalDisk()).read()
            assert found.orders in (before.orders, after.orders)
        else:
            disk.lose()
            assert TrustFile(state, LocalDisk()).read().orders == after.orders
            break
    assert cut > 8


def test_a_disk_that_takes_nothing_is_the_devices_fault(tmp_path: Path) -> None:
    (tmp_path / "trust").write_text("in the way")
    with pytest.raises(DeviceError):
        TrustFile(tmp_path, LocalDisk()).keep(SEEN)
