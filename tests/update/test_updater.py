from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, DeviceError, EngineLostError
from edged.update.disk import Disk
from edged.update.manifest import RefusedBundleError, verify
from edged.update.records import Records
from edged.update.rollout import State
from edged.update.store import Store
from edged.update.updater import MAX_ATTEMPTS, Updater
from fakes.bundle import make_bundle
from fakes.clock import FakeClock
from fakes.disk import FragileDisk, PowerCutError
from fakes.faultydisk import FaultyDisk

EVENTS = ["found", "begun", "at-hand", "stored", "trying", "passed", "opened", "kept"]


@dataclass
class Trial:
    """Refuses the versions that it holds, or raises, and remembers what it saw."""

    refuses: set[str] = field(default_factory=set)
    raises: Exception | None = None
    seen: list[str] = field(default_factory=list)

    def __call__(self, bundle: Bundle) -> str | None:
        self.seen.append(bundle.manifest.version)
        assert verify(bundle) == []
        if self.raises:
            raise self.raises
        return "golden sample 3 differs by 0.4" if bundle.manifest.version in self.refuses else None


@dataclass
class Box:
    """A box's folders, and an updater that starts anew on each call as after a restart."""

    path: Path
    trial: Trial = field(default_factory=Trial)

    @property
    def own(self) -> Path:
        return self.path / "own"

    @property
    def shipped(self) -> Path:
        return self.path / "shipped"

    @property
    def state(self) -> Path:
        return self.path / "state"

    def records(self, disk: Disk | None = None) -> Records:
        return Records(self.state, disk or FragileDisk(), FakeClock())

    def updater(self, disk: Disk | None = None) -> Updater:
        disk = disk or FragileDisk()
        return Updater([self.own, self.shipped], Store(self.state, disk), self.records(disk), self.trial)

    def ensure(self, disk: Disk | None = None) -> str:
        bundle = self.updater(disk).ensure("parts")
        assert verify(bundle) == []
        assert bundle.folder.is_relative_to(self.state)
        return bundle.manifest.version


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    box.state.mkdir()
    return box


def test_the_first_bundle_goes_live_from_the_store(box: Box) -> None:
    make_bundle(box.shipped / "parts")

    assert box.ensure() == "1.0.0"

    pointer = box.records().pointer("parts")
    assert (pointer.state, pointer.candidate, pointer.previous) == (State.COMMITTED, None, None)
    assert pointer.active is not None
    assert pointer.active.version == "1.0.0"


def test_ensuring_again_changes_nothing_and_tries_nothing(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    before = box.records().pointer("parts")

    disk = FragileDisk()
    assert box.ensure(disk) == "1.0.0"

    assert disk.operations == 0
    assert box.records().pointer("parts") == before
    assert box.trial.seen == ["1.0.0"]


def test_a_newer_bundle_replaces_the_live_one_which_stays_as_the_previous(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts-2", version="1.10.0", weights=b"better")

    assert box.ensure() == "1.10.0"

    pointer = box.records().pointer("parts")
    assert pointer.previous is not None
    assert pointer.previous.version == "1.0.0"


def test_a_failing_candidate_is_quarantined_with_its_reason_and_the_live_one_stays(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"bad")
    box.trial.refuses.add("2.0.0")

    assert [box.ensure(), box.ensure()] == ["1.0.0", "1.0.0"]

    (installed,) = box.updater().installed().models
    assert box.trial.seen == ["1.0.0", "2.0.0"]
    assert installed.pointer.state is State.FAILED
    assert "golden sample 3" in installed.pointer.reason
    assert [(held.release.version, held.reason) for held in installed.quarantined] == [
        ("2.0.0", "golden sample 3 differs by 0.4")
    ]


def test_a_mended_bundle_of_the_same_version_is_another_candidate(box: Box) -> None:
    make_bundle(box.own / "parts", version="2.0.0", weights=b"bad")
    box.trial.refuses.add("2.0.0")
    with pytest.raises(BundleError, match="golden sample 3"):
        box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"good")
    box.trial.refuses.clear()

    assert box.ensure() == "2.0.0"


def test_a_first_install_passes_over_what_fails(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    make_bundle(box.own / "parts", version="2.0.0", weights=b"bad")
    box.trial.refuses.add("2.0.0")

    assert box.ensure() == "1.0.0"


def test_behind_a_failed_candidate_nothing_older_than_the_live_one_is_tried(box: Box) -> None:
    make_bundle(box.own / "parts", version="1.5.0")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"bad")
    make_bundle(box.shipped / "parts", version="1.0.0", weights=b"old")
    box.trial.refuses.add("2.0.0")

    assert [box.ensure(), box.ensure()] == ["1.5.0", "1.5.0"]
    assert box.trial.seen == ["1.5.0", "2.0.0"]


def test_an_older_bundle_goes_live_when_it_is_the_newest_on_offer(box: Box) -> None:
    make_bundle(box.own / "parts", version="2.0.0", weights=b"newer")
    make_bundle(box.shipped / "parts")
    box.ensure()
    shutil.rmtree(box.own)

    assert box.ensure() == "1.0.0"


def test_a_folder_that_was_deleted_leaves_the_last_good_model(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    shutil.rmtree(box.shipped)

    assert box.ensure() == "1.0.0"


def test_a_folder_that_was_overwritten_with_rubbish_leaves_the_last_good_model(box: Box) -> None:
    folder = make_bundle(box.shipped / "parts")
    box.ensure()
    (folder / "model.toml").write_text("rubbish")

    assert box.ensure() == "1.0.0"

    standing = box.updater().installed()
    (installed,) = standing.models
    assert installed.found == ()
    assert [error.folder for error in standing.refused] == [folder]


def test_a_bundle_that_is_still_being_copied_is_taken_when_it_is_whole(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    folder = make_bundle(box.own / "parts", version="2.0.0", weights=b"a long file")
    (folder / "int8.tflite").write_bytes(b"a lo")
    assert box.ensure() == "1.0.0"
    assert "truncated or altered" in box.records().pointer("parts").reason
    (folder / "int8.tflite").write_bytes(b"a long file")

    assert box.ensure() == "2.0.0"


def test_a_bundle_without_its_labels_is_refused_and_the_live_one_stays(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    (make_bundle(box.own / "parts", version="2.0.0") / "labels.txt").unlink()

    assert box.ensure() == "1.0.0"
    assert "labels.txt" in box.records().pointer("parts").reason


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


def test_a_rollback_gives_the_release_before_and_the_withdrawn_one_does_not_come_back(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()
    make_bundle(box.own / "parts", version="2.0.0", weights=b"better")
    box.ensure()

    assert box.updater().roll_back("parts", "its results differ").manifest.version == "1.0.0"

    assert box.ensure() == "1.0.0"
    assert box.records().pointer("parts").state is State.ROLLED_BACK


def test_a_rollback_without_a_release_before_is_refused(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()

    with pytest.raises(BundleError, match="cannot roll back 'parts': no release ran before"):
        box.updater().roll_back("parts", "its results differ")

    assert box.ensure() == "1.0.0"


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


def test_what_no_release_needs_is_swept_away(box: Box) -> None:
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        make_bundle(box.own / "parts", version=version, weights=version.encode())
        box.ensure()

    blobs = [file.read_bytes() for file in (box.state / "store").rglob("*") if file.is_file()]
    releases = list((box.state / "slots" / "parts" / "releases").iterdir())
    assert b"1.0.0" not in blobs
    assert {b"2.0.0", b"3.0.0"} <= set(blobs)
    assert len(releases) == 2


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


def test_two_models_do_not_know_each_other(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    make_bundle(box.shipped / "other", name="other", weights=b"other")

    assert box.ensure() == "1.0.0"
    assert box.updater().ensure("other").manifest.name == "other"
    assert box.ensure() == "1.0.0"


def test_a_model_whose_only_bundle_cannot_be_read_tells_why(box: Box) -> None:
    (make_bundle(box.shipped / "parts") / "model.toml").write_text("name = 3")

    with pytest.raises(RefusedBundleError, match="name: cannot use 3: expected text"):
        box.ensure()


def test_a_model_whose_only_bundle_is_quarantined_tells_why_after_a_restart(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.trial.refuses.add("1.0.0")
    with pytest.raises(BundleError):
        box.ensure()

    with pytest.raises(BundleError, match="cannot run model 'parts': golden sample 3"):
        box.ensure()


def test_the_journal_tells_each_step_before_it_is_done(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    box.ensure()

    lines = [json.loads(line) for line in (box.state / "journal.ndjson").read_text().splitlines()]
    assert [line["event"] for line in lines] == EVENTS
    assert {line["version"] for line in lines} == {"1.0.0"}


def test_installed_shows_what_is_on_offer_and_what_runs(box: Box) -> None:
    make_bundle(box.shipped / "parts")
    make_bundle(box.own / "parts", version="2.0.0")
    box.ensure()

    standing = box.updater().installed()
    (installed,) = standing.models

    assert (standing.refused, standing.absent) == ((), ())
    assert installed.model == "parts"
    assert installed.found == (("2.0.0", box.own / "parts"), ("1.0.0", box.shipped / "parts"))
    assert installed.pointer.active is not None
    assert installed.pointer.active.version == "2.0.0"


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
