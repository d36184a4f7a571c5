from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.update.disk import Disk, LocalDisk
from fakes.disk import FragileDisk


@pytest.fixture(params=[LocalDisk, FragileDisk])
def disk(request: pytest.FixtureRequest) -> Disk:
    make: Callable[[], Disk] = request.param
    return make()


def test_a_file_is_written_from_its_start_or_behind_its_end(disk: Disk, tmp_path: Path) -> None:
    file = tmp_path / "file"

    disk.write(file, [b"old content"])
    disk.write(file, [b"a", b"b"])
    disk.write(file, [b"c"], append=True)

    assert file.read_bytes() == b"abc"


def test_a_rename_replaces_a_file_and_moves_a_folder(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("new")
    (tmp_path / "new").write_text("old")
    (tmp_path / "folder").mkdir()

    disk.rename(tmp_path / "old", tmp_path / "new")
    disk.rename(tmp_path / "folder", tmp_path / "moved")

    assert sorted(place.name for place in tmp_path.iterdir()) == ["moved", "new"]
    assert (tmp_path / "new").read_text() == "new"


def test_a_link_is_the_same_file(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    disk.link(tmp_path / "file", tmp_path / "second")

    assert (tmp_path / "second").samefile(tmp_path / "file")


def test_removing_takes_a_folder_with_all_in_it_and_nothing_where_there_is_nothing(disk: Disk, tmp_path: Path) -> None:
    disk.make_folder(tmp_path / "folder")
    disk.write(tmp_path / "folder" / "file", [b"x"])

    disk.remove(tmp_path / "folder")
    disk.remove(tmp_path / "folder")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_thread_made_just_now_is_no_fault(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "drift").mkdir()

    disk.make_folder(tmp_path / "drift")

    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match="cannot make"):
        LocalDisk().make_folder(tmp_path / "file")


def test_files_and_folders_can_be_synced(disk: Disk, tmp_path: Path) -> None:
    disk.write(tmp_path / "file", [b"x"])

    disk.sync(tmp_path / "file")
    disk.sync(tmp_path)

    assert (tmp_path / "file").read_bytes() == b"x"


@pytest.mark.parametrize(
    "operate",
    [
        lambda disk, place: disk.write(place / "file", [b"x"]),
        lambda disk, place: disk.sync(place),
        lambda disk, place: disk.rename(place, place / "new"),
        lambda disk, place: disk.link(place, place / "new"),
        lambda disk, place: disk.make_folder(place / "new"),
        lambda disk, place: disk.remove(place / "file"),
    ],
)
def test_a_refusal_of_the_disk_is_the_devices_fault(operate: Callable[[Disk, Path], None], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    absent = tmp_path / "file" / "below"

    with pytest.raises(DeviceError, match="expected a disk that takes it") as caught:
        operate(LocalDisk(), absent)

    assert caught.value.code == "disk"


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield (tmp_path / "gone").read_bytes()

    with pytest.raises(DeviceError, match=r"cannot write .*gone"):
        LocalDisk().write(tmp_path / "file", blocks())
