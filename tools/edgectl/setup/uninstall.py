"""``edgectl uninstall``: takes the service away, and leaves what is the operator's: configuration, state, account."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from edgectl.options import FAULT, AsJson, alone
from edgectl.setup import screen
from edgectl.setup.account import SYSUSERS, TMPFILES
from edgectl.setup.install import ready
from edgectl.setup.machine import LIVE, Machine
from edgectl.setup.plan import DROP_INS, UDEV, drop_in_paths
from edgectl.setup.service import EDGED, SAFE, UNITS, WANTED
from edgectl.setup.steps import Outcome, Step, carry_out, would
from edged.domain.errors import DeviceError

LEFT = ("/etc/edged", "/var/lib/edged")
FILES = (SYSUSERS, TMPFILES, UDEV)
UNIT_FILES = tuple(f"{UNITS}/{unit}" for unit in (EDGED, SAFE))

app = alone("Take the service away; configuration, state and account stay.")


@app.callback()
def uninstall(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    root: Annotated[Path, typer.Option(metavar="DIR", help="The root of an image.")] = LIVE,
    as_json: AsJson = False,
) -> None:
    """Stop edged and take its units and rules away. What it knows and how it is configured stays, and is named."""
    machine = Machine(root.resolve())
    ready(machine, dry_run=dry_run)
    steps = uninstall_steps(machine)
    told = screen.shown(
        would(steps) if dry_run else carry_out(steps), dry_run=dry_run, as_json=as_json, schema="edgectl.uninstall/1"
    )
    if told[-1].outcome == "failed":
        sys.stderr.write(f"edgectl: {told[-1].what}; run the same command again when the cause is gone\n")
        raise typer.Exit(FAULT)


def uninstall_steps(machine: Machine) -> list[Step]:
    """Give the steps in the order in which nothing runs without what it needs."""
    drop_ins = tuple(path for name in (*DROP_INS, "credentials") for path in drop_in_paths(name))
    steps = [_stopped(machine)] if machine.is_live else []
    steps += [
        _gone("starts at boot", machine, (WANTED,)),
        _gone("units", machine, UNIT_FILES),
        _gone("drop-ins", machine, drop_ins),
        _gone("rules", machine, FILES),
    ]
    if machine.is_live:
        steps.append(_forgotten(machine))
    steps += [Step("kept", place, lambda: "left", lambda: None) for place in LEFT if machine.at(place).exists()]
    return [*steps, Step("kept", "the user edged, to whom that belongs", lambda: "left", lambda: None)]


def _stopped(machine: Machine) -> Step:
    def look() -> Outcome:
        shown = machine.run(["systemctl", "show", "--property=ActiveState", EDGED, SAFE], check=False).split()
        return "already" if all(state in {"ActiveState=inactive", "ActiveState=failed"} for state in shown) else "done"

    def act() -> None:
        machine.run(["systemctl", "stop", EDGED, SAFE])

    return Step("stopped", f"{EDGED}, {SAFE}", look, act)


def _gone(name: str, machine: Machine, paths: tuple[str, ...]) -> Step:
    """Give the step that removes files, and the folders that they leave empty: what somebody else put there stays."""
    there = [path for path in paths if _is_there(machine.at(path))]

    def look() -> Outcome:
        return "done" if any(_is_there(machine.at(path)) for path in paths) else "already"

    def act() -> None:
        for path in paths:
            _remove(machine.at(path))

    return Step(name, ", ".join(there) or "none there", look, act)


def _forgotten(machine: Machine) -> Step:
    def look() -> Outcome:
        shown = machine.run(["systemctl", "show", "--property=LoadState", EDGED, SAFE], check=False).split()
        return "already" if all(state == "LoadState=not-found" for state in shown) else "done"

    def act() -> None:
        machine.run(["systemctl", "daemon-reload"])
        machine.run(["systemctl", "reset-failed", EDGED, SAFE], check=False)

    return Step("forgotten by systemd", "systemctl daemon-reload", look, act)


def _is_there(file: Path) -> bool:
    return file.is_symlink() or file.exists()


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        message = f"cannot remove {file}: {error.strerror}, expected a folder that may be written"
        raise DeviceError(message) from error
    if file.parent.name.endswith(".service.d"):
        with suppress(OSError):
            file.parent.rmdir()
