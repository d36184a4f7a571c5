"""Who holds a device: the processes that have its node open, as /proc tells."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
EDGED = "edged"
TERMINALS, MASTERS = "/dev/pts/", frozenset({"/dev/ptmx", "/dev/pts/ptmx"})
"""Whoever holds a pseudo-terminal's other end as well is what it leads to, no reader of it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a device open."""

    pid: int
    name: str
    is_edged: bool

    def __str__(self) -> str:
        """Name it for people."""
        return f"{EDGED if self.is_edged else self.name} (process {self.pid})"


def holders(node: Path, proc: Path = PROC) -> tuple[Holder, ...]:
    """Name the processes that hold ``node``, by number; of other users' processes only root sees what they hold."""
    device = str(node.resolve())
    found = []
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):
            open_files = {_leads_to(one) for one in (process / "fd").iterdir()}
            if device in open_files and not (device.startswith(TERMINALS) and open_files & MASTERS):
                found.append(_holder(process))
    return tuple(sorted(found, key=lambda one: one.pid))


def step(held: tuple[Holder, ...], instead: str) -> str:
    """Give what to do about who holds a device; ``instead`` is what can be done while the daemon goes on."""
    if any(one.is_edged for one in held):
        return f"systemctl stop {EDGED}, or {instead}"
    return f"end {held[0]} first, such as with kill {held[0].pid}"


def _leads_to(descriptor: Path) -> str:
    """Give what a descriptor stands for; empty when it was closed meanwhile: a busy process closes many, and holds on to the device."""
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


def _holder(process: Path) -> Holder:
    words = (process / "cmdline").read_text("utf-8", "replace").split("\0")
    name = (process / "comm").read_text("utf-8", "replace").strip()
    # The daemon is a script, so that the first word is Python's.
    is_edged = name == EDGED or any(Path(word).name == EDGED or "edged.cli" in word for word in words[:3])
    return Holder(int(process.name), name, is_edged)
