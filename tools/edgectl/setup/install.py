"""``edgectl install``: makes this machine, or an image of one, a box that runs edged as a service."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import tempfile
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl.options import FAULT, AsJson, alone
from edgectl.setup import screen
from edgectl.setup.machine import LIVE, Machine
from edgectl.setup.plan import DROP_INS, Wishes, install_steps
from edgectl.setup.program import Program, find
from edgectl.setup.steps import carry_out, would
from edged.control.profile import load_profiles
from edged.domain.errors import ConfigError, DeviceError

OLDEST_FOR_CREDENTIALS = 250
"""The release of systemd that brought ``%d``, which the drop-in needs."""

app = alone("Make this machine a box that runs edged as a service.")


@app.callback()
def install(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    root: Annotated[
        Path, typer.Option(metavar="DIR", help="The root of an image, of which nothing is started.")
    ] = LIVE,
    program: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The edged that the units start. Default: the one beside this edgectl."),
    ] = None,
    drop_in: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME", help=f"A drop-in: {', '.join(DROP_INS)}. May be given again."),
    ] = None,
    mqtt_password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The broker's password, kept for root alone; - reads it from standard input."
        ),
    ] = None,
    profile: Annotated[Path | None, typer.Option(metavar="FILE", help="A device profile for this board.")] = None,
    trust: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who may sign models: root.json of edgectl repo.")
    ] = None,
    no_start: Annotated[bool, typer.Option("--no-start", help="Do not start it now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make user, groups, folders, device rules, units. May be run again at any time: it does what is missing, and says so step by step."""
    machine = Machine(root.resolve())
    ready(machine, dry_run=dry_run)
    started = find() if program is None else Program(_program(program))
    wishes = Wishes(
        tuple(_known(name) for name in drop_in or ()),
        _password(mqtt_password_file, machine) if mqtt_password_file else None,
        _trust(trust) if trust else None,
        _profile(profile) if profile else None,
        not no_start,
    )
    steps = install_steps(machine, started, wishes)
    told = screen.shown(
        would(steps) if dry_run else carry_out(steps), dry_run=dry_run, as_json=as_json, schema="edgectl.install/1"
    )
    if told[-1].outcome == "failed":
        again = "what is done stays; run the same command again when the cause is gone"
        sys.stderr.write(f"edgectl: {told[-1].what}; {again}\n")
        raise typer.Exit(FAULT)


def ready(machine: Machine, *, dry_run: bool) -> None:
    """Raise ConfigError or DeviceError before anything is done where it could not be ended."""
    if not machine.root.is_dir():
        message = f"cannot set up {machine.root}: it is no folder, expected the root of an image"
        raise ConfigError(message)
    if not machine.is_live or dry_run:
        return
    if os.geteuid() != 0:
        # sudo looks for programs in its own folders, where pipx puts none.
        command = shlex.join([f"{sys.prefix}/bin/edgectl", *sys.argv[1:]])
        message = f"cannot change this machine as user {os.geteuid()}, expected root"
        raise ConfigError(message, remedy=f"sudo {command}")
    if not Path("/run/systemd/system").is_dir():
        message = "cannot set up a service: systemd does not run here, expected a machine that it started"
        raise DeviceError(message, remedy="an image is set up with --root DIR")


def _known(name: str) -> str:
    if name not in DROP_INS:
        message = f"cannot find drop-in {name!r}, expected one of {', '.join(DROP_INS)}"
        raise ConfigError(message)
    return name


def _program(file: Path) -> Path:
    if not file.is_absolute() or not str(file).isprintable():
        message = f"cannot start {str(file)!r} from a unit, expected an absolute path without control characters"
        raise ConfigError(message)
    return file


def _read(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"cannot read {what} {file}: {error.strerror}, expected a file"
        raise ConfigError(message) from error


def _password(file: Path, machine: Machine) -> bytes:
    content = _typed() if str(file) == "-" else _read(file, "the password")
    if len(content.split(b"\n")) > 2 or not content.strip():
        seen = "it has several lines" if content.strip() else "it is empty"
        message = f"cannot use the password in {file}: {seen}, expected one line"
        raise ConfigError(message)
    told = re.search(r"\d+", machine.run(["systemctl", "--version"]))
    if told and int(told[0]) < OLDEST_FOR_CREDENTIALS:
        message = f"cannot hand over credentials with systemd {told[0]}, expected {OLDEST_FOR_CREDENTIALS} or newer"
        raise DeviceError(message, remedy="name a file of root:edged, mode 0640, as password_file in the configuration")
    return content.strip() + b"\n"


def _typed() -> bytes:
    """Read a line, which a person types unseen."""
    return getpass("Password at the broker: ").encode() if sys.stdin.isatty() else sys.stdin.buffer.readline()


def _trust(file: Path) -> bytes:
    """Give the root of trust: metadata of The Update Framework, or the small profile's keys."""
    content = _read(file, "the root of trust")
    try:
        document: Any = json.loads(content)
        signed = document.get("signed", {})
        is_one = "schema" in document or (signed.get("_type") == "root" and bool(signed["roles"]["root"]["keyids"]))
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        is_one = False
    if not is_one:
        message = f"cannot trust {file}: it is no root metadata, expected the root.json of edgectl repo"
        raise ConfigError(message)
    return content


def _profile(file: Path) -> tuple[str, bytes]:
    """Give a device profile that can be read as one."""
    content = _read(file, "the device profile")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / file.name).write_bytes(content)
        try:
            is_one = bool(load_profiles([Path(folder)]))
        except ConfigError as error:
            raise ConfigError(str(error).replace(folder, str(file.parent))) from error
        if not is_one:
            message = f"cannot use device profile {file}: its name does not end in .toml, expected a TOML file"
            raise ConfigError(message)
    return file.name, content
