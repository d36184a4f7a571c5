from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from edged.domain.errors import BundleError, DeviceError
from edged.update.disk import LocalDisk
from edged.update.manifest import MAX_FILE_BYTES, read_bundle, verify
from edged.update.records import Release
from edged.update.store import Listing, Store, listing_of
from fakes.bundle import make_bundle
from fakes.disk import FragileDisk


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "state").mkdir()
    return Store(tmp_path / "state", LocalDisk())


def blob_of(state: Path, content: bytes) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    return state / "store" / "sha256" / digest[:2] / digest


def test_a_staged_bundle_is_the_same_and_shares_its_files_with_the_store(store: Store, tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "parts"))

    staged = store.stage(bundle, listing_of(bundle))

    assert verify(staged) == []
    assert staged.manifest == bundle.manifest
    assert (staged.folder / "int8.tflite").samefile(blob_of(tmp_path / "state", b"weights"))


def test_equal_files_are_stored_once(store: Store, tmp_path: Path) -> None:
    for number in ("1", "2"):
        bundle = read_bundle(make_bundle(tmp_path / number, version=f"{number}.0.0"))
        store.stage(bundle, listing_of(bundle))

    blobs = [file for file in (tmp_path / "state" / "store").rglob("*") if file.is_file()]
    assert len(blobs) == 4 + 2 + 2  # what both share, then a manifest and a listing each


def test_a_release_is_known_by_everything_that_its_manifest_names(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "parts")
    releases = [listing_of(read_bundle(folder)).release()]
    for name in ("model.toml", "labels.txt", "golden/first/sample.json", "drift.npz"):
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        releases.append(listing_of(read_bundle(folder)).release())
    (folder / "recipe.py").write_text("train()")

    assert len({release.digest for release in releases}) == 5
    assert listing_of(read_bundle(folder)).release() == releases[-1]


def test_a_listing_reads_the_same_in_any_order() -> None:
    files = {"a": "1", "b": "2"}

    first = Listing(name="parts", version="1.0.0", files=files)
    second = Listing(name="parts", version="1.0.0", files=dict(reversed(files.items())))

    assert first.release() == second.release()


def test_a_bundle_with_a_file_missing_cannot_be_listed(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "parts")
    (folder / "labels.txt").unlink()

    with pytest.raises(BundleError, match=r"cannot read file 'labels\.txt': No such file"):
        listing_of(read_bundle(folder))


@pytest.mark.parametrize("name", ["labels.txt", "golden/first/sample.json"])
def test_a_pipe_or_a_device_in_place_of_a_file_is_refused_and_not_read(tmp_path: Path, name: str) -> None:
    for number, place in enumerate(("pipe", "/dev/zero")):
        folder = make_bundle(tmp_path / str(number))
        (folder / name).unlink()
        if place == "pipe":
            os.mkfifo(folder / name)
        else:
            (folder / name).symlink_to(place)

        with pytest.raises(BundleError, match=f"cannot use file '{name}'"):
            listing_of(read_bundle(folder))


def test_a_file_longer_than_any_is_refused_and_not_read(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "parts")
    with (folder / "labels.txt").open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)  # a hole: it takes no room on the disk

    with pytest.raises(BundleError, match=r"cannot use file 'labels\.txt': it has 2147483649 bytes"):
        listing_of(read_bundle(folder))


def test_a_file_that_was_altered_after_its_check_is_not_stored(store: Store, tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "parts"))
    listing = listing_of(bundle)
    (bundle.folder / "int8.tflite").write_bytes(b"Weights")

    with pytest.raises(BundleError, match="it was altered"):
        store.stage(bundle, listing)

    assert not blob_of(tmp_path / "state", b"weights").exists()
    assert not blob_of(tmp_path / "state", b"Weights").exists()


def test_a_stored_file_that_the_disk_damaged_is_stored_again(store: Store, tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "parts"))
    listing = listing_of(bundle)
    store.stage(bundle, listing)
    blob_of(tmp_path / "state", b"weights").write_bytes(b"wEights")
    assert store.bundle("parts", listing.release()) is None

    store.stage(bundle, listing)

    assert store.bundle("parts", listing.release()) is not None


def test_a_release_that_was_never_stored_is_none(store: Store) -> None:
    assert store.bundle("parts", Release(digest="0" * 64, version="1.0.0")) is None


def test_a_release_whose_listing_is_of_another_form_is_none(store: Store, tmp_path: Path) -> None:
    content = b'{"schema": 2}'
    blob = blob_of(tmp_path / "state", content)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)

    assert store.bundle("parts", Release(digest=blob.name, version="1.0.0")) is None


def test_a_release_that_a_newer_edged_would_not_take_is_none(store: Store, tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "parts"))
    (bundle.folder / "model.toml").write_text("of_an_older_form = true")
    listing = listing_of(bundle)
    with pytest.raises(BundleError, match="cannot do without this key"):
        store.stage(bundle, listing)

    assert store.bundle("parts", listing.release()) is None


def test_a_sweep_leaves_what_is_kept_and_nothing_else(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    store = Store(state, FragileDisk())
    releases = []
    for number in ("1", "2"):
        bundle = read_bundle(make_bundle(tmp_path / number, version=f"{number}.0.0", weights=number.encode()))
        store.stage(bundle, listing_of(bundle))
        releases.append(listing_of(bundle).release())
    leftover = blob_of(state, b"1").with_name(".half.new")
    leftover.write_bytes(b"half of a file")
    lost = Release(digest="0" * 64, version="0.0.0")

    store.sweep({"parts": [releases[1], lost], "empty": []})

    assert store.bundle("parts", releases[0]) is None
    assert store.bundle("parts", releases[1]) is not None
    assert not leftover.exists()
    assert not blob_of(state, b"1").exists()


def test_a_disk_that_lists_no_folder_is_told_as_the_disk_s_trouble(store: Store, tmp_path: Path) -> None:
    (tmp_path / "state" / "incoming").mkdir()

    def failing(_folder: Path) -> None:
        raise OSError(5, "Input/output error")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Path, "iterdir", failing)
        with pytest.raises(DeviceError, match=r"cannot list .*Input/output error"):
            store.clear(set())
