"""Models: bundles of the configuration's folders, and whether each file of the store still is what its name says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from edgectl.checks.rows import Ground, Row
from edged.assembly.box import model_folders
from edged.domain.errors import EdgedError
from edged.hardware.clock import SystemClock
from edged.update.disk import LocalDisk
from edged.update.manifest import find_bundles, sha256_of
from edged.update.records import Records, Release

LOOK_S = 12.0
"""A store of many large models is not read to its end: what was read is told."""


def bundles(ground: Ground) -> Iterator[Row]:
    """Tell each bundle that was refused, and how many there are."""
    catalogue = find_bundles(model_folders(ground.config))
    for refused in catalogue.refused:
        shown = f"{refused.folder}: {'; '.join(refused.faults[:2])}"
        yield Row("bundle", refused.folder.name, "fail", shown, f"edgectl bundle verify {refused.folder}")
    names = ", ".join(catalogue.bundles)
    yield Row("bundles", "models", "ok", f"{len(catalogue.bundles)}: {names}"[:200])


def store(ground: Ground) -> Iterator[Row]:
    """Hold every stored file against the digest that is its name; nothing is built again here."""
    state = ground.config.state.directory
    blobs = state / "store" / "sha256"
    try:
        files = sorted(file for folder in blobs.iterdir() for file in folder.iterdir() if len(file.name) == DIGEST)
    except FileNotFoundError:
        yield Row("store", "models", "skipped", "nothing is stored yet")
        return
    except OSError as error:
        yield Row("store", "models", "skipped", f"{error.strerror}: sudo edgectl doctor models")
        return
    until_s, read, broken = time.monotonic() + LOOK_S, 0, 0
    for file in files:
        if time.monotonic() > until_s:
            break
        read += 1
        if not _is_whole(file):
            broken += 1
            yield _broken(file, ground)
    if not broken:
        shown = f"{read} of {len(files)} files are what their names say" + (
            "" if read == len(files) else " (no time for more)"
        )
        yield Row("store", "models", "ok", shown)
    yield from _slots(ground, {file.name for file in files})


def _slots(ground: Ground, stored: set[str]) -> Iterator[Row]:
    """Tell which model's live release has lost its listing, and what is held back."""
    records = Records(ground.config.state.directory, LocalDisk(), SystemClock())
    for model in records.models():
        release: Release | None = records.pointer(model).active
        if release is not None and release.digest not in stored:
            shown = f"{release.version} is live, and its listing is not stored"
            yield Row("live release", model, "fail", shown, RESTART)
        elif release is not None:
            yield Row("live release", model, "ok", f"{release.version}, {release.digest[:12]}")
    for held in records.quarantine().releases:
        shown = f"{held.release.version} is held back: {held.reason}"
        yield Row("quarantine", held.model, "warn", shown, f"edgectl repo add … a later version of {held.model}")


def _is_whole(file: Path) -> bool:
    try:
        return sha256_of(file) == file.name
    except EdgedError:
        return False


def _broken(file: Path, ground: Ground) -> Row:
    # A release's folder holds second names of the same files: both go, and the daemon brings them in again.
    same = [str(file)]
    try:
        about = file.stat()
        below = (ground.config.state.directory / "slots").rglob("*")
        same += [str(one) for one in below if one.is_file() and one.samefile(file)] if about.st_nlink > 1 else []
    except OSError:
        pass
    remedy = f"sudo rm {' '.join(same)} && {RESTART}"
    return Row("store", file.name[:12], "fail", f"{file} is damaged: its content is not its name's", remedy)


DIGEST = 64
RESTART = "sudo systemctl restart edged"
"""At its start the daemon brings in again what its folders offer, or what is ordered."""
