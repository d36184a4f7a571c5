"""The configuration: every fault that ``edged check`` has of its text, of bundles and of the files that it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from edgectl.checks.account import pwd_name
from edgectl.checks.daemon import folder
from edgectl.checks.rows import Ground, Row, program
from edged.assembly.check import check_all
from edged.config.load import Fault

ELSEWHERE = ("source.", "state.directory")
"""Keys of what other groups look at more closely."""
STUCK = "grep -e nfs -e cifs -e fuse /proc/mounts  # whose server is away? Start it, or: sudo umount -f -l PLACE"
"""Of a disk that does not answer: what tells of it asks the kernel, not the disk."""


def rows(ground: Ground) -> Iterator[Row]:
    """Tell each fault with its file and key."""
    if ground.is_stuck:
        yield from (Row("file", "configuration", "fail", str(fault), STUCK) for fault in ground.faults)
        return
    if not ground.is_live:
        yield from _told(ground.faults, ground)
        return
    readable = may_read(ground.file)
    if readable is False:
        why = f"{pwd_name()} may not read {ground.file}: sudo edgectl doctor"
        yield Row("text", "configuration", "skipped", why)
        return
    report = check_all(ground.file)
    named = [one for one in report.faults if not (one.key.startswith(ELSEWHERE) and "kind" not in one.key)]
    faults = dict.fromkeys([*ground.faults, *report.configuration, *named])
    if readable is None:
        # All keys have a default: a box that only answers HTTP may have none.
        evidence = f"{ground.file} is not there: every key has its default"
        remedy = f"sudo {program()} config init --config {quote(str(ground.file))}"
        yield Row("text", "configuration", "warn", evidence, remedy)
        faults = {fault: None for fault in faults if fault.file != ground.file or fault.key}
    yield from _told(tuple(faults), ground)
    yield from _elsewhere(report.relative, ground)


def may_read(file: Path) -> bool | None:
    """Whether whoever runs this may read a file; None when it is not there, as far as that can be seen."""
    try:
        file.open("rb").close()
    except FileNotFoundError:
        return None
    except OSError:
        return False
    return True


def _elsewhere(relative: tuple[str, ...], ground: Ground) -> Iterator[Row]:
    """Tell that paths count from another folder for the daemon than for whoever runs this."""
    here = Path.cwd()
    if not relative or (there := folder(ground.daemon.pid, ground.file)) == here:
        return
    expected = there or "the folder that edged is started in"
    evidence = f"{', '.join(relative)}: looked for from {here} on, expected {expected}"
    remedy = f"cd {quote(str(there))} && edgectl doctor --config {quote(str(ground.file.absolute()))}"
    yield Row("relative paths", "configuration", "warn", evidence, remedy if there else "write them from / on")


def _told(faults: tuple[Fault, ...], ground: Ground) -> Iterator[Row]:
    for fault in faults:
        place = fault.key or "file"
        subject = f"pipeline {fault.pipeline}" if fault.pipeline else "configuration"
        remedy = f"sudoedit {quote(str(fault.file))} && edged check --config {quote(str(ground.file))}"
        yield Row(place, subject, "fail", f"{fault.file}: {fault.message}", remedy)
    if not faults and may_read(ground.file):
        sources, pipelines = len(ground.config.source), len(ground.config.pipeline)
        yield Row("text", "configuration", "ok", f"{ground.file}: {sources} sources, {pipelines} pipelines")
