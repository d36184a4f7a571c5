"""What is known of every model, for ``edged models``; reads only, so that it works beside a running daemon."""

from __future__ import annotations

from typing import Any

from edged.assembly.box import model_folders
from edged.config.schema import Config
from edged.fleet.topics import rfc3339
from edged.hardware.clock import SystemClock
from edged.update.disk import LocalDisk
from edged.update.records import Pointer, Records, Release
from edged.update.store import Store
from edged.update.updater import Installed, Updater

_NS_PER_MS = 1_000_000


def models_document(config: Config) -> dict[str, Any]:
    """Give ``edged.models/1`` as the command prints it: also what lies in the folders and was never asked for."""
    state, disk = config.state.directory, LocalDisk()
    updater = Updater(
        model_folders(config), Store(state, disk), Records(state, disk, SystemClock()), lambda _bundle: "only looked at"
    )
    standing = updater.installed()
    return {
        "schema": "edged.models/1",
        "models": [{"found": _found(one), **described(one)} for one in standing.models],
        "refused": [{"folder": str(error.folder), "faults": list(error.faults)} for error in standing.refused],
    }


def described(one: Installed) -> dict[str, Any]:
    """Give a model's slot: what runs, what ran before, what was ordered, what is not to run."""
    pointer: Pointer = one.pointer
    return {
        "name": one.model,
        "state": pointer.state.value,
        "since": rfc3339(pointer.since_ms * _NS_PER_MS) if pointer.since_ms is not None else None,
        "reason": pointer.reason,
        "code": pointer.code,
        "active": _release(pointer.active),
        "previous": _release(pointer.previous),
        "desired": _desired(pointer),
        "quarantined": [{**held.release.model_dump(), "reason": held.reason} for held in one.quarantined],
    }


def _desired(pointer: Pointer) -> dict[str, Any] | None:
    """Give what was ordered, against what runs: whether it does, and whether the order has come to its end; None without an order."""
    if pointer.order is None:
        return None
    is_met = pointer.active is not None and pointer.active.target == pointer.order.sha256
    return {**pointer.order.told(), "met": is_met, "finished": pointer.finished, "attempt": pointer.attempt}


def _found(one: Installed) -> list[dict[str, str]]:
    return [{"version": version, "folder": str(folder)} for version, folder in one.found]


def _release(release: Release | None) -> dict[str, Any] | None:
    return release.model_dump() if release else None
