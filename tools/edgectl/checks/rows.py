"""What a check of ``edgectl doctor`` is, what it stands on, and what it found."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from edgectl.checks.daemon import STOPPED, Daemon
from edgectl.options import CONFIG
from edged.assembly.box import Box
from edged.config.load import Fault
from edged.config.schema import Config
from edged.hardware.tree import Tree

Status = Literal["ok", "warn", "fail", "skipped"]
SCHEMA = "edged.doctor/1"
DEADLINE_S = 5.0


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
    group: str = ""
    """Filled in by whoever ran the check."""


Verdict = tuple[Status, str, str]
"""Status, evidence, remedy."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the checks stand on. ``ask`` puts a question to whoever stands at the box and gives whether it was done."""

    config: Config
    box: Box
    ask: Callable[[str], bool] | None = None
    root: Path = Path("/")
    file: Path = CONFIG
    faults: tuple[Fault, ...] = ()
    """What is wrong with the configuration."""
    is_configured: bool = True
    """False: the configuration cannot be used, and ``config`` is what stands in for it."""
    is_stuck: bool = False
    """The disk that the configuration lies on does not answer: nobody asks it again."""
    daemon: Daemon = STOPPED
    logs_in: bool = False
    """Log in at the broker although the daemon is online as the same user."""

    @property
    def is_live(self) -> bool:
        """Whether the machine itself is looked at, not its files elsewhere."""
        return self.box.is_this_machine

    def edit(self, what: str) -> str:
        """Give the command that opens the configuration, with what to change there."""
        return f"sudoedit {quote(str(self.file))}  # {what}"

    @property
    def tree(self) -> Tree:
        """The machine's files."""
        return Tree(self.root)


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table. ``run`` gives rows as they are found; what it has not given by its deadline is told as a failure.

    ``of_files``: it judges files below another root just as well; the others ask the machine that runs, and are skipped there.
    ``configured``: it says nothing without a configuration that can be used.
    """

    group: str
    name: str
    run: Callable[[Ground], Iterable[Row]]
    deadline_s: float = DEADLINE_S
    of_files: bool = False
    configured: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in the order of the table."""

    rows: tuple[Row, ...]
    ground: Ground
    at: str
    """RFC 3339."""
    groups: tuple[str, ...]
    """Which were looked at."""

    @property
    def counts(self) -> dict[Status, int]:
        """How many rows there are of each status."""
        counted = Counter(row.status for row in self.rows)
        return {status: counted[status] for status in ("ok", "warn", "fail", "skipped")}

    def document(self) -> dict[str, Any]:
        """Give the report as JSON has it, and as it is kept: ``edged.doctor/1`` (docs/doctor.md)."""
        box, daemon = self.ground.box, self.ground.daemon
        packages = {one.distribution: one.version for one in box.runtimes}
        return {
            "schema": SCHEMA,
            "at": self.at,
            "device": self.ground.config.device.id,
            "board": box.inventory.board,
            "profile": box.profile.name,
            "kernel": (self.ground.tree.text("proc/sys/kernel/osrelease") or ""),
            "versions": {"edged": version("edged"), **packages},
            "daemon": {"runs": daemon.runs, "pid": daemon.pid},
            "groups": list(self.groups),
            "fails": self.counts["fail"],
            "counts": self.counts,
            "rows": [asdict(row) for row in self.rows],
        }


@dataclass(frozen=True, slots=True)
class Step:
    """A check of one thing, among those that come after one another. ``stops`` means that nothing further can work where it fails."""

    name: str
    run: Callable[[Any, Ground], Verdict]
    stops: bool = True


def walked(subject: Any, steps: Sequence[Step], ground: Ground) -> Iterable[Row]:
    """Take the steps; after one that stops, the rest is skipped.

    ``subject`` has a ``name`` for people, ``broken`` for what stopped it, and ``details(step)`` for the record.
    """
    for step in steps:
        if subject.broken:
            yield Row(step.name, subject.name, "skipped", subject.broken)
            continue
        status, evidence, remedy = step.run(subject, ground)
        yield Row(step.name, subject.name, status, evidence, remedy, subject.details(step.name))
        if status == "fail" and step.stops:
            subject.broken = f"after {step.name}"


def program() -> str:
    """Give what calls edgectl as another user, too, whose PATH need not lead there."""
    return shutil.which("edgectl") or "edgectl"


def of_group(row: Row, group: str) -> Row:
    """Give the row with its group."""
    return replace(row, group=group)
