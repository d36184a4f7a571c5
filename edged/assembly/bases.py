"""The releases that a box has, packed again for a difference to be applied to: the same bundle gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from edged.assembly.courier import Packer
from edged.domain.errors import BundleError
from edged.update.archive import pack_into
from edged.update.records import Records, Release
from edged.update.store import Store


def bases(store: Store, records: Records, model: str) -> Mapping[str, Packer]:
    """Give what runs and what ran before, each by the digest of the file that it came in; none that came from a folder."""
    pointer = records.pointer(model)
    known = [release for release in (pointer.active, pointer.previous) if release is not None and release.target]
    return {release.target: partial(_pack, store, model, release) for release in known}


def _pack(store: Store, model: str, release: Release, file: Path) -> None:
    bundle = store.bundle(model, release)
    if bundle is None:
        message = f"cannot pack {model} {release.version}: it is damaged in the store, expected it whole"
        raise BundleError(message)
    with file.open("wb") as stream:
        pack_into(bundle, stream)
