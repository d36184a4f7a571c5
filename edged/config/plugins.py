"""What installed packages bring, by entry point: found when a configuration or a bundle asks for it, and never before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from edged.domain.errors import DeviceError

Group = Literal["edged.actions", "edged.decoders", "edged.engines", "edged.sinks", "edged.sources"]
"""What each group's function takes and gives: docs/plug-ins.md."""


def brought(group: Group) -> Mapping[str, EntryPoint]:
    """Give a group's entry points by name. Reads the packages' metadata (some 10 ms); nothing of theirs is imported."""
    return {point.name: point for point in entry_points(group=group)}


def load_plugin(group: Group, name: str) -> Any:
    """Import what an entry point names. Raises DeviceError when no package brings it, or when it cannot be imported."""
    point = brought(group).get(name)
    if point is None:
        message = f"cannot find {name!r} of {group}: no installed package brings it, expected one that does"
        raise DeviceError(message, remedy="install the package that brings it", code="plugin-missing")
    try:
        return point.load()
    except Exception as error:  # a package's own code runs here, and may raise whatever it likes
        why = " ".join(f"{type(error).__name__}: {error}".split())
        message = f"cannot load {name!r} of {group}: {point.value} gives {why}, expected a function"
        raise DeviceError(message, remedy="mend or remove the package that brings it", code="plugin-broken") from error
