"""A rollback on a disk that something else has filled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edged.domain.errors import DeviceError
from edged.update.probation import WATCH, Verdict
from edged.update.reserve import RESERVE, RESERVE_BYTES, Reserve
from fakes.disk import FragileDisk
from fakes.site import Air


@dataclass
class FullDisk(FragileDisk):
    """A disk with no room but what is freed on it."""

    free: int = 0

    def write(self, file: Path, blocks: Iterable[bytes], *, append: bool = False) -> None:
        content = b"".join(blocks)
        if len(content) > self.free:
            raise DeviceError("cannot write: No space left on device", code="disk")
        self.free -= len(content)
        super().write(file, [content], append=append)

    def remove(self, place: Path) -> None:
        self.free += place.stat().st_size if place.is_file() else 0
        super().remove(place)


def on_probation(air: Air) -> None:
    air.knobs.verdict = WATCH
    assert air.carry(air.order("2.0.0")) == "probation"


def test_a_release_is_taken_back_on_a_disk_that_is_full(air: Air) -> None:
    on_probation(air)
    air.knobs.verdict = Verdict("roll-back", "slow")
    order = air.records().pointer("parts").order
    assert order is not None

    assert air.carry(order, FullDisk()) == "rolled-back"

    assert air.live(FullDisk()) == "1.0.0"
    assert air.records().quarantine().releases[0].release.version == "2.0.0"


def test_after_a_rollback_the_room_is_kept_again(air: Air) -> None:
    on_probation(air)
    air.knobs.verdict = Verdict("roll-back", "slow")
    order = air.records().pointer("parts").order
    assert order is not None

    air.carry(order)

    assert (air.state / RESERVE).stat().st_size == RESERVE_BYTES


def test_a_reserve_that_a_power_cut_shortened_is_made_again(tmp_path: Path) -> None:
    (tmp_path / RESERVE).write_bytes(b"short")

    Reserve(tmp_path, FragileDisk()).keep()

    assert (tmp_path / RESERVE).stat().st_size == RESERVE_BYTES


def test_a_disk_that_has_no_room_for_a_reserve_is_no_fault(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, FullDisk())

    reserve.keep()
    reserve.free()

    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    disk = FragileDisk()
    reserve = Reserve(tmp_path, disk)
    reserve.keep()
    before = disk.operations

    reserve.keep()

    assert disk.operations == before
