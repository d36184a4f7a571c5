"""Finds what travels with edged: model bundles, device profiles, unit files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edged.domain.errors import DeviceError

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: Literal["models", "device-profiles", "systemd"], package: Path = _PACKAGE) -> Path:
    """Give the shipped folder.

    A wheel carries it inside the package, under ``share``; an editable install has it beside the package, in the
    checkout. Raises DeviceError when it is in neither place: the installation is damaged.
    """
    places = (package / "share" / name, package.parent / name)
    for place in places:
        if place.is_dir():
            return place
    message = f"cannot find the shipped {name}: no folder at {places[0]} or {places[1]}, expected one"
    raise DeviceError(message, remedy="install edged again")
