from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgectl.bundle.pack import pack
from edged.assembly.bases import bases
from edged.domain.errors import BundleError
from edged.update.archive import unpack
from edged.update.disk import LocalDisk
from edged.update.manifest import read_bundle
from edged.update.records import Pointer, Records
from edged.update.store import Store, listing_of
from fakes.bundle import make_bundle
from fakes.clock import FakeClock


def test_a_release_is_packed_again_to_the_bytes_that_it_came_in(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    store, records = Store(state, LocalDisk()), Records(state, LocalDisk(), FakeClock())
    file = pack(read_bundle(make_bundle(tmp_path / "bundle")), tmp_path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "unpacked").mkdir()
    unpack(file, tmp_path / "unpacked")
    bundle = read_bundle(tmp_path / "unpacked")
    listing = listing_of(bundle)
    store.stage(bundle, listing)
    local, delivered = listing.release(), listing.release().model_copy(update={"target": digest})
    records.point("parts", Pointer(active=delivered, previous=local))

    found = bases(store, records, "parts")
    assert list(found) == [digest]
    found[digest](tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()

    next((state / "store").rglob(listing.files["int8.tflite"])).chmod(0o600)
    next((state / "store").rglob(listing.files["int8.tflite"])).write_bytes(b"rot")
    with pytest.raises(BundleError, match="damaged in the store"):
        found[digest](tmp_path / "again")
