"""From bundles in folders to the release that runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edged.domain.errors import BundleError
from edged.update.manifest import RefusedBundleError
from edged.update.rollout import State
from fakes.bundle import make_bundle
from fakes.disk import FragileDisk
from fakes.folderbox import Box

EVENTS = ["found", "begun", "at-hand", "stored", "trying", "passed", "opened", "kept"]


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


def test_what_no_release_needs_is_swept_away(box: Box) -> None:
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        make_bundle(box.own / "parts", version=version, weights=version.encode())
        box.ensure()

    blobs = [file.read_bytes() for file in (box.state / "store").rglob("*") if file.is_file()]
    releases = list((box.state / "slots" / "parts" / "releases").iterdir())
    assert b"1.0.0" not in blobs
    assert {b"2.0.0", b"3.0.0"} <= set(blobs)
    assert len(releases) == 2


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
