"""What a sink of a package is told of the box that it is to speak for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.fleet.settings import LinkSettings


@dataclass(frozen=True, slots=True)
class SinkBox:
    """``pipelines`` are those of the configuration in force, each with its rules; another set of them is another sink."""

    device: str
    pipelines: Mapping[str, tuple[str, ...]]
    broker: LinkSettings
    """The one that edged itself reports to. Its user has one connection, which is edged's own: a sink needs another user there."""
    folder: Path
    """In the state directory, for this sink alone; made by who needs it."""
