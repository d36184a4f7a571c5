"""What a check of ``edgectl doctor`` is, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from edged.assembly.box import Box
from edged.config.schema import Config

Status = Literal["ok", "warn", "fail", "skipped"]
SCHEMA = "edged.doctor/1"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: ``subject`` is the thing that was looked at, ``remedy`` a command to copy, or what to do."""

    check: str
    subject: str
    status: Status
    evidence: str
    remedy: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Figures and versions, for the record."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the checks stand on. ``ask`` puts a question to whoever stands at the box and gives whether it was done."""

    config: Config
    box: Box
    ask: Callable[[str], bool] | None = None
    root: Path = Path("/")


@dataclass(frozen=True, slots=True)
class Group:
    """Checks that belong together. ``run`` gives rows as they are found, since some take minutes."""

    name: str
    title: str
    run: Callable[[Ground], Iterator[Row]]


def document(rows: Sequence[Row], ground: Ground, at: str, groups: Sequence[str]) -> dict[str, Any]:
    """Give the report as JSON has it, and as it is kept."""
    box = ground.box
    packages = {one.distribution: one.version for one in box.runtimes}
    return {
        "schema": SCHEMA,
        "at": at,
        "device": ground.config.device.id,
        "board": box.inventory.board,
        "profile": box.profile.name,
        "kernel": _kernel(),
        "versions": {"edged": version("edged"), **packages},
        "groups": list(groups),
        "fails": sum(row.status == "fail" for row in rows),
        "rows": [asdict(row) for row in rows],
    }


def _kernel() -> str:
    return Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii", errors="replace").strip()
