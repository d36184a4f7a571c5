"""The updater in trouble: full disks, damaged releases, folders that are gone, candidates that take the box down."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from edged.domain.errors import BundleError, DeviceError, EngineLostError
from edged.update.rollout import State
from edged.update.store import Store
from edged.update.updater import MAX_ATTEMPTS, Updater
from fakes.bundle import make_bundle
from fakes.disk import FragileDisk, PowerCutError
from fakes.faultydisk import FaultyDisk
from fakes.folderbox import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    box.state.mkdir()
    return box


def test_trouble_of_the_box_postpones_a_candidate_without_quarantine(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"good")
    box.trial.raises = EngineLostError("cannot reach the accelerator: unplugged")
    assert box.ensure() == "1.0.0"
    assert box.records().pointer("parts").state is State.POSTPONED
    box.trial.raises = None

    assert box.ensure() == "2.0.0"


def test_trouble_of_the_box_at_the_first_install_is_told(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.trial.raises = EngineLostError("cannot reach the accelerator: unplugged")

    with pytest.raises(EngineLostError, match="unplugged"):
        box.ensure()


class FullDisk(FragileDisk):
    """Takes no file any more."""

    def write(self, file: Path, *_: object, **__: object) -> None:
        message = f"cannot write {file}: No space left on device, expected a disk that takes it"
        raise DeviceError(message, code="disk")


def test_a_full_disk_leaves_the_live_model(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"good")

    assert box.ensure(FullDisk()) == "1.0.0"
    assert box.ensure() == "2.0.0"


class TakesNoBlob(FragileDisk):
    """Takes small files and no content of the store."""

    def write(self, file: Path, blocks: object, *, append: bool = False) -> None:
        if "store" in file.parts:
            message = f"cannot write {file}: No space left on device, expected a disk that takes it"
            raise DeviceError(message, code="disk")
        super().write(file, blocks, append=append)  # type: ignore[arg-type] # the port's own type, handed through


def test_a_disk_too_full_for_a_bundle_postpones_it(box: Box) -> None:
    make_bundle(box.shipped / "parts")

    with pytest.raises(DeviceError, match="No space left"):
        box.ensure(TakesNoBlob())

    assert box.records().pointer("parts").state is State.POSTPONED


def test_a_damaged_release_is_mended_from_its_folder(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    live = box.updater().ensure("parts")
    damage(live.folder / "int8.tflite")

    assert box.ensure() == "1.0.0"


def test_a_damaged_release_gives_way_to_the_one_before_it(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"better")
    live = box.updater().ensure("parts")
    damage(live.folder / "int8.tflite")
    shutil.rmtree(box.own)
    shutil.rmtree(box.shipped)

    assert [box.ensure(), box.ensure()] == ["1.0.0", "1.0.0"]

    pointer = box.records().pointer("parts")
    assert pointer.state is State.ROLLED_BACK
    assert "2.0.0 is damaged" in pointer.reason


def test_a_damaged_release_with_nothing_before_it_and_no_folder_is_told(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    live = box.updater().ensure("parts")
    damage(live.folder / "int8.tflite")
    shutil.rmtree(box.shipped)

    with pytest.raises(BundleError, match="cannot find model 'parts': no bundle in"):
        box.ensure()

    assert box.records().pointer("parts").state is State.IDLE


def test_a_disk_that_takes_no_note_of_the_damage_still_gives_the_release_before_it(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"better")
    damage(box.updater().ensure("parts").folder / "int8.tflite")
    shutil.rmtree(box.own)
    shutil.rmtree(box.shipped)

    assert box.ensure(FullDisk()) == "1.0.0"


def test_a_release_folder_without_its_links_is_built_again(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    live = box.updater().ensure("parts")
    (live.folder / "labels.txt").unlink()
    shutil.rmtree(box.shipped)

    assert box.ensure() == "1.0.0"
    assert (live.folder / "labels.txt").read_text() == "washer\nnut\n"


def test_a_candidate_that_takes_the_box_down_with_it_is_quarantined(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"crashes")
    box.trial.raises = PowerCutError()
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(PowerCutError):
            box.ensure()

    assert box.ensure() == "1.0.0"

    (installed,) = box.updater().installed().models
    assert [held.reason for held in installed.quarantined] == ["its trial was interrupted 3 times, expected it to end"]


class SweepsNothing(FragileDisk):
    """Removes nothing that has a digest for a name."""

    def remove(self, place: Path) -> None:
        if len(place.name) == 64 and place.exists():
            message = f"cannot remove {place}: Read-only file system, expected a disk that takes it"
            raise DeviceError(message, code="disk")
        super().remove(place)


def test_a_sweep_that_fails_does_not_cost_the_switch(box: Box) -> None:
    for version in ("1.0.0", "2.0.0"):
        make_bundle(box.own / "parts", version=version, weights=version.encode())
        box.ensure()
    make_bundle(box.own / "parts", version="3.0.0", weights=b"3.0.0")

    assert box.ensure(SweepsNothing()) == "3.0.0"


@pytest.mark.parametrize("seed", range(3))
def test_whatever_calls_fail_a_folder_s_bundle_goes_live_in_the_end(box: Box, seed: int) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"better")
    disk = FaultyDisk(Random(seed), 15)  # noqa: S311 - a seeded chance

    for _ in range(25):
        assert box.ensure(disk) in {"1.0.0", "2.0.0"}

    assert box.ensure() == "2.0.0"


def damage(file: Path) -> None:
    file.write_bytes(b"x" * file.stat().st_size)


def test_while_a_folder_is_gone_nothing_older_goes_live_and_it_is_told(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    make_bundle(box.own / "parts", version="2.0.0", weights=b"own")
    assert box.ensure() == "2.0.0"
    shutil.rmtree(box.own)
    updater = Updater([box.own, box.shipped], Store(box.state, FragileDisk()), box.records(), box.trial, [box.own])

    assert updater.ensure("parts").manifest.version == "2.0.0"

    assert updater.installed().absent == (box.own,)
    make_bundle(box.shipped / "parts-3", version="3.0.0", weights=b"newest")
    assert updater.ensure("parts").manifest.version == "3.0.0"


def test_other_content_of_the_same_version_does_not_replace_what_a_gone_folder_held(box: Box) -> None:
    make_bundle(box.shipped / "parts", weights=b"shipped")
    make_bundle(box.own / "parts", weights=b"own")
    updater = Updater([box.own, box.shipped], Store(box.state, FragileDisk()), box.records(), box.trial, [box.own])
    live = updater.ensure("parts").folder
    shutil.rmtree(box.own)
    assert updater.ensure("parts").folder == live


def test_a_folder_that_nobody_named_may_be_absent(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    make_bundle(box.own / "parts", version="2.0.0", weights=b"own")
    box.ensure()
    shutil.rmtree(box.own)
    assert box.ensure() == "1.0.0"
    assert box.updater().installed().absent == ()


def test_what_was_passed_over_at_the_last_look_is_told_until_it_is_cured(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    updater = box.updater()
    updater.ensure("parts")
    assert updater.installed().passed_over["parts"] == ()
    bad = make_bundle(box.own / "parts", version="2.0.0", weights=b"bad")
    box.trial.refuses.add("2.0.0")

    for _ in ("tried", "held in quarantine"):
        updater.ensure("parts")
        (error,) = updater.installed().passed_over["parts"]
        assert (
            str(error)
            == "cannot activate parts 2.0.0: golden sample 3 differs by 0.4; give a mended bundle another version"
        )

    shutil.rmtree(bad)
    updater.ensure("parts")
    assert updater.installed().passed_over["parts"] == ()


def test_what_the_box_could_not_do_now_is_passed_over_too(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    updater = box.updater()
    updater.ensure("parts")
    make_bundle(box.own / "parts", version="2.0.0", weights=b"better")
    box.trial.raises = EngineLostError("cannot open it: the accelerator is away")
    updater.ensure("parts")
    (error,) = updater.installed().passed_over["parts"]
    assert isinstance(error, EngineLostError)
