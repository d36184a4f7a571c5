"""``edgectl doctor``: what is wrong with a box, what shows it, and the command that mends it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl.checks import daemon
from edgectl.checks.configuration import may_read
from edgectl.checks.rows import Ground, Report, Row
from edgectl.checks.run import run as run_checks
from edgectl.checks.table import GROUPS, TABLE
from edgectl.options import CONFIG, FAULT, AsJson, ConfigFile, alone
from edgectl.plain import as_json, print_json
from edged.assembly.box import Box, survey_for
from edged.assembly.within import within
from edged.config.load import Fault, Loaded, RejectedConfigError, load
from edged.config.schema import Config
from edged.domain.errors import ConfigError
from edged.fleet.topics import rfc3339

RECORD = "doctor.json"
LOOK_S, HARDWARE_S = 10.0, 30.0
"""Of the first look, before any check has a deadline of its own: a disk may lie on a server that is away. A small board that is
busy takes seconds for it."""

app = alone("Say what is wrong with this box, what shows it, and what mends it.")


def examine(
    config: Path | None = None,
    groups: Sequence[str] = (),
    *,
    root: Path = Path("/"),
    ask: Callable[[str], bool] | None = None,
    logs_in: bool = False,
    seen: Callable[[Row], None] = lambda _row: None,
) -> Report:
    """Check a box, without a change to it; ``document()`` of what it gives is ``edged.doctor/1``.

    ``groups`` are names of ``GROUPS``; none are all. ``seen`` is called with each row as it is found. Raises ConfigError for a group that
    is not there, or when ``config`` names no file.
    """
    wanted = _wanted(groups)
    checks = [check for check in TABLE if check.group in wanted]
    ground = replace(survey(config, root), ask=ask, logs_in=logs_in)
    rows = []
    for row in run_checks(checks, ground):
        seen(row)
        rows.append(row)
    return Report(tuple(rows), ground, rfc3339(time.time_ns()), wanted)


def survey(config: Path | None = None, root: Path = Path("/")) -> Ground:
    """Read the configuration as far as that goes, look at the hardware, and find the daemon."""
    file = config or root / CONFIG.relative_to("/")
    read = _read(file, root, required=config is not None)
    box, fault = _box(read.loaded.config, root, file)
    running = daemon.look(read.loaded.config, file) if root == Path("/") else daemon.STOPPED
    return Ground(
        read.loaded.config,
        box,
        root=root,
        file=file,
        faults=(*read.loaded.faults, *fault),
        is_configured=read.is_usable,
        is_stuck=read.is_stuck,
        daemon=running,
    )


@app.callback()
def run(  # noqa: PLR0917 - one argument for each flag
    groups: Annotated[list[str] | None, typer.Argument(metavar="GROUP", help=", ".join(GROUPS))] = None,
    hardware: Annotated[bool, typer.Option("--hardware", hidden=True)] = False,  # noqa: FBT002 - a flag
    walk: Annotated[bool, typer.Option("--walk", help="Ask to unplug and plug accelerators.")] = False,  # noqa: FBT002 - a flag
    login: Annotated[bool, typer.Option("--login", help="Log in at the broker though edged is online there.")] = False,  # noqa: FBT002 - a flag
    faults: Annotated[bool, typer.Option("--faults", help="Show only what warns or fails.")] = False,  # noqa: FBT002 - a flag
    config: ConfigFile = None,
    sysroot: Annotated[Path, typer.Option(help="Another machine's files: what they tell is checked.")] = Path("/"),
    record: Annotated[
        Path | None, typer.Option(help=f"Where the report is kept (default: {RECORD} in the state directory).")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Check a box and say what mends what is wrong. Exit status 1 when anything fails."""
    from edgectl.doctor_screen import Screen  # noqa: PLC0415 - nothing is drawn for --json

    screen = None if as_json else Screen(only_faults=faults)
    ask = _ask if walk and not as_json else None
    named = [*(groups or ()), *(["hardware"] if hardware else [])]
    report = examine(config, named, root=sysroot, ask=ask, logs_in=login, seen=screen.show if screen else _nothing)
    document = report.document()
    if screen is not None:
        screen.sum_up(report)
    else:
        print_json(document)
    if record is not None or report.ground.is_live:
        # Root may be asking, and whoever may write into the state directory could have put a link there.
        flags = os.O_NOFOLLOW if record is None else 0
        kept = _kept(record or report.ground.config.state.directory / RECORD, flags, document)
        (sys.stderr if as_json else sys.stdout).write(f"{kept}\n")
    if document["fails"]:
        raise typer.Exit(FAULT)


def _wanted(groups: Iterable[str]) -> tuple[str, ...]:
    asked = set(groups)
    if unknown := sorted(asked - GROUPS.keys()):
        message = f"cannot check {', '.join(unknown)}, expected one of {', '.join(GROUPS)}"
        raise ConfigError(message)
    return tuple(name for name in GROUPS if not asked or name in asked)


@dataclass(frozen=True, slots=True)
class _Read:
    """What could be read of the configuration; ``is_stuck``: the disk that it lies on does not answer."""

    loaded: Loaded
    is_usable: bool = True
    is_stuck: bool = False


def _read(file: Path, root: Path, *, required: bool) -> _Read:
    """Read it; one that cannot be used costs the checks that need it, and no others."""
    try:
        if required and within(LOOK_S, partial(may_read, file)) is None:
            message = f"cannot read {file}: there is none, expected a configuration"
            raise ConfigError(message, remedy="name one with --config, or leave that out for the defaults")
        return _Read(within(LOOK_S, partial(load, file, root=root, required=False, named=False)))
    except RejectedConfigError as error:
        return _Read(_without(error.faults), is_usable=False)
    except TimeoutError as error:
        return _Read(_without((Fault(file, "", str(error.strerror)),)), is_usable=False, is_stuck=True)


def _without(faults: tuple[Fault, ...]) -> Loaded:
    return Loaded(Config.model_validate({"device": {"id": "unnamed"}}), faults, ())


def _box(config: Config, root: Path, file: Path) -> tuple[Box, tuple[Fault, ...]]:
    """Look at the hardware; a profile that cannot be had, or read by whoever runs this, leaves the shipped ones."""
    try:
        return within(HARDWARE_S, partial(survey_for, config, root)), ()
    except (ConfigError, TimeoutError) as error:
        device = config.device.model_copy(update={"profile": "auto"})
        shipped_alone = config.profiles.model_copy(update={"directories": ()})
        usable = config.model_copy(update={"device": device, "profiles": shipped_alone})
        return survey_for(usable, root), (Fault(file, "device.profile", str(error.args[-1])),)


def _ask(question: str) -> bool:
    """Ask on the terminal; anything but a plain "s" (skip) says that it was done."""
    sys.stdout.write(f"        ? {question}, then press Enter (s skips): ")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    return bool(answer) and answer.strip().lower() != "s"


def _nothing(_row: Row) -> None:
    """Show nothing."""


def _kept(file: Path, flags: int, report: dict[str, Any]) -> str:
    """Keep the report; gives where it lies, or why it does not."""

    def write() -> None:
        with open(
            file, "w", encoding="utf-8", opener=lambda name, asked: os.open(name, asked | flags, 0o666)
        ) as stream:
            stream.write(as_json(report))

    try:
        within(LOOK_S, write)
    except OSError as error:
        return f"not recorded in {file}: {error.strerror}; --record names another place"
    return f"recorded in {file}"
