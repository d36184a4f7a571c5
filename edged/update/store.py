"""Keeps bundles: every file once, by its digest, and for each release a folder of second names for those files.

store/sha256/ab/abcdef…            what was stored never changes
slots/<model>/releases/<digest>/   a release as the folder that engines and decoders read from
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, DeviceError, EdgedError
from edged.update.disk import Disk
from edged.update.manifest import MANIFEST, files_of, hold, read_bundle, sha256_of
from edged.update.records import Release, folder_on_disk

INCOMING = "incoming"
"""Below the state directory: <sha256> is a file that came in, <sha256>.files what was unpacked of it, <sha256>.part… what of it came."""
PART = "part"
_BLOCK_BYTES = 1024**2
_BUILDING = ".building"


class Listing(BaseModel):
    """A release's content: each file's path inside the bundle and its SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    version: str
    files: dict[str, str]

    def release(self) -> Release:
        """Give the release that this content is."""
        return Release(digest=hashlib.sha256(self.document()).hexdigest(), version=self.version)

    def document(self) -> bytes:
        """Give the canonical form: equal content gives equal bytes."""
        ordered = self.model_copy(update={"files": dict(sorted(self.files.items()))})
        return ordered.model_dump_json().encode()


def listing_of(bundle: Bundle) -> Listing:
    """List a bundle's files. A variant's digest is the one that the manifest promises: ``verify`` holds it to that.

    Raises BundleError when one of the other files cannot be read.
    """
    promised = {variant.file: variant.sha256 for variant in bundle.manifest.variant}
    found = files_of(bundle)
    for name in found.keys() - promised.keys() - {MANIFEST}:
        hold(bundle, name)
    files = {name: promised.get(name) or sha256_of(file) for name, file in found.items()}
    return Listing(name=bundle.manifest.name, version=bundle.manifest.version, files=files)


class Store:
    """The stored bundles below a state directory."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        """Nothing is written until a bundle is staged."""
        self.directory = directory
        self._blobs = directory / "store" / "sha256"
        self._slots = directory / "slots"
        self._disk = disk
        self.turn = threading.RLock()
        """Held while files come in or go: what is just being stored is needed by nothing yet."""

    def stage(self, bundle: Bundle, listing: Listing) -> Bundle:
        """Take a bundle in, durably, and give it as it lies in the store.

        Raises BundleError when a file no longer is the listed one, DeviceError when the disk refuses.
        """
        with self.turn:
            for name, digest in listing.files.items():
                self._add_file(bundle.folder / name, digest)
            release = listing.release()
            if not self._is_stored(release.digest):
                self._add_blob(release.digest, iter([listing.document()]))
            return self._surely_built(listing)

    def bundle(self, model: str, release: Release) -> Bundle | None:
        """Give a stored release after holding every file against its digest; None when it is not whole.

        A release folder that was damaged while the files behind it were not is built again.
        """
        listing = self._listing(release)
        if listing is None or not all(self._is_stored(digest) for digest in listing.files.values()):
            return None
        folder = self._folder(model, release)
        same = all(_is_same(folder / name, self._blob(digest)) for name, digest in listing.files.items())
        try:
            return read_bundle(folder) if same else self._build(listing)
        except EdgedError:
            # A newer edged may ask more of a manifest than the one that stored it did; a full disk takes no folder.
            return None

    def sweep(self, kept: dict[str, list[Release]]) -> None:
        """Remove what no kept release needs; ``kept`` holds every model that has a slot."""
        needed = {release.digest for releases in kept.values() for release in releases}
        for release in (release for releases in kept.values() for release in releases):
            listing = self._listing(release)
            needed |= set(listing.files.values()) if listing else set()
        for model, releases in kept.items():
            names = {release.digest for release in releases}
            self._remove_others(self._slots / model / "releases", names)
        for folder in _children(self._blobs):
            self._remove_others(folder, needed)

    def clear(self, waiting: set[str], *, parts: bool = False) -> None:
        """Remove what came in and nobody waits with: files and what was unpacked of them, by the file's SHA-256.

        ``parts``: what came of downloads too, which otherwise has a time of its own.
        """
        for place in _children(self.directory / INCOMING):
            digest, _, rest = place.name.partition(".")
            if digest not in waiting and (parts or not rest.startswith(PART)):
                self._disk.remove(place)

    def _remove_others(self, folder: Path, names: set[str]) -> None:
        for place in _children(folder):
            if place.name not in names:
                self._disk.remove(place)

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest[:2] / digest

    def _folder(self, model: str, release: Release) -> Path:
        return self._slots / model / "releases" / release.digest

    def _is_stored(self, digest: str) -> bool:
        try:
            return sha256_of(self._blob(digest)) == digest
        except BundleError:
            return False  # absent, or the disk cannot read it any more

    def _listing(self, release: Release) -> Listing | None:
        if not self._is_stored(release.digest):
            return None
        try:
            return Listing.model_validate_json(self._blob(release.digest).read_bytes())
        except (OSError, ValidationError):
            return None

    def _add_file(self, file: Path, digest: str) -> None:
        if self._is_stored(digest):
            return
        observed = hashlib.sha256()
        self._add_blob(digest, _hashed(file, observed), observed)

    def _add_blob(self, digest: str, blocks: Iterator[bytes], observed: hashlib._Hash | None = None) -> None:
        blob = self._blob(digest)
        folder_on_disk(self._disk, blob.parent)
        beside = blob.with_name(f".{digest}.new")
        self._disk.write(beside, blocks)
        # What was verified a moment ago may have been altered since: what is kept is what was hashed on its way in.
        if observed is not None and observed.hexdigest() != digest:
            self._disk.remove(beside)
            message = f"cannot store a file of sha256 {observed.hexdigest()}: it was altered, expected {digest}"
            raise BundleError(message)
        self._disk.sync(beside)
        self._disk.rename(beside, blob)
        self._disk.sync(blob.parent)

    def _surely_built(self, listing: Listing) -> Bundle:
        try:
            return self._build(listing)
        except BundleError as error:
            if not is_unread(error):
                raise
            # It was read a moment ago, and every file of it is here by its digest: the release is not to blame.
            message = f"cannot read {listing.name} {listing.version} as it was stored: {error.args[0]}"
            raise DeviceError(message, code="disk") from error

    def _build(self, listing: Listing) -> Bundle:
        folder = self._folder(listing.name, listing.release())
        building = folder.with_name(_BUILDING)
        folder_on_disk(self._disk, building.parent)
        self._disk.remove(building)
        for name, digest in listing.files.items():
            folder_on_disk(self._disk, (building / name).parent)
            self._disk.link(self._blob(digest), building / name)
            self._disk.sync((building / name).parent)
        self._disk.remove(folder)
        self._disk.rename(building, folder)
        self._disk.sync(folder.parent)
        return read_bundle(folder)


def is_unread(error: BaseException | None) -> bool:
    """Whether it came of a call that the system refused."""
    return error is not None and (isinstance(error, OSError) or is_unread(error.__cause__))


def _hashed(file: Path, digest: hashlib._Hash) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            yield block


def _is_same(file: Path, blob: Path) -> bool:
    return file.is_file() and file.samefile(blob)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        message = f"cannot list {folder}: {error.strerror}, expected a disk that gives it"
        raise DeviceError(message, code="disk") from error
