"""``edgectl fleet broker``: a mosquitto that keeps devices from each other, as a folder of files, and its users."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from edgectl.fleet import access
from edgectl.fleet.control import Login, Place, command
from edged.domain.errors import ConfigError

PLUGINS = (
    "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
    "/usr/lib/aarch64-linux-gnu/mosquitto_dynamic_security.so",
    "/usr/lib/mosquitto_dynamic_security.so",
)
"""Where Debian and others put it."""
CONF, SECURITY, PASSWORDS = "mosquitto.conf", "dynamic-security.json", "passwords"
PASSWORD_BYTES = 24

app = typer.Typer(help="Write a broker's access rules: a role a device, nothing else allowed.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The broker's folder, as `broker init` made it.")]
Host = Annotated[str, typer.Option(help="Change the broker that runs there, as its administrator, and not its file.")]
Announces = Annotated[
    str,
    typer.Option(
        metavar="PREFIX", help="Let them announce themselves to Home Assistant, whose discovery prefix this is."
    ),
]
Port = Annotated[int, typer.Option(help="Its port.")]

_CONFIGURATION = """\
# A broker for edged: every device with its own user, and nobody on another's topics.
listener {port}
allow_anonymous false
plugin {plugin}
plugin_opt_config_file {security}
# A device cannot take another one's connection over by its client id.
use_username_as_clientid true
# Blocks of a model come one answer a request: Nagle's algorithm would make 88 ms of each.
set_tcp_nodelay true
max_packet_size 1048576
max_queued_messages 10000
max_inflight_messages 64
persistence true
persistence_location {folder}/
"""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet, or is empty.")],
    port: Annotated[int, typer.Option(help="Where the broker listens.")] = 1883,
    service: Annotated[
        list[str] | None, typer.Option(help="A program of the fleet's, such as `fleet serve`; one user each.")
    ] = None,
) -> None:
    """Write a broker's configuration, its rules, and the passwords of its administrator and of the fleet's programs."""
    if folder.is_dir() and any(folder.iterdir()):
        message = f"cannot make a broker in {folder}: it is not empty, expected an empty or a new folder"
        raise ConfigError(message)
    plugin = next((one for one in PLUGINS if Path(one).is_file()), PLUGINS[0])
    (folder / PASSWORDS).mkdir(parents=True)
    _hand_over(folder)
    document = access.empty(_fresh_password(folder, access.ADMIN))
    for name in service or ["fleet", "serve-1", "serve-2"]:
        user = access.client(name, _fresh_password(folder, name), [access.FLEET_ROLE])
        document = access.with_user(document, user)
    _write(folder / SECURITY, json.dumps(document, indent=1))
    text = _CONFIGURATION.format(
        port=port, plugin=plugin, security=(folder / SECURITY).resolve(), folder=folder.resolve()
    )
    _write(folder / CONF, text)
    sys.stdout.write(
        f"wrote {folder / CONF}; passwords lie in {folder / PASSWORDS}\nnext: mosquitto -c {folder / CONF}\n"
    )


@app.command()
def add(
    folder: Folder,
    devices: Annotated[list[str], typer.Argument(help="Device ids.")],
    group: Annotated[list[str] | None, typer.Option(help="A group whose orders the devices read, too.")] = None,
    homeassistant: Announces = "",
    host: Host = "",
    port: Port = 1883,
) -> None:
    """Add devices, or give those that are there a new password and other groups."""
    roles = [access.device_role(device, group or (), homeassistant) for device in devices]
    for device, role in zip(devices, roles, strict=True):
        _add(folder, device, role, host, port)


@app.command()
def homeassistant(
    folder: Folder,
    prefix: Annotated[str, typer.Option(help="Its discovery prefix.")] = access.HOMEASSISTANT,
    host: Host = "",
    port: Port = 1883,
) -> None:
    """Add Home Assistant as a user that reads what devices tell and announce; it commands nothing."""
    _add(folder, access.HOMEASSISTANT, access.homeassistant_role(prefix), host, port)


@app.command()
def remove(
    folder: Folder,
    devices: Annotated[list[str], typer.Argument(help="Device ids.")],
    host: Host = "",
    port: Port = 1883,
) -> None:
    """Remove devices, with their sources' users and Sparkplug's: refused from now on, and disconnected where the broker runs."""
    for name in [user for device in devices for user in _users(folder, device)]:
        if host:
            _tell(folder, host, port, access.commands_to_remove(name))
        else:
            _write(folder / SECURITY, json.dumps(access.without_user(_read(folder), name), indent=1))
        (folder / PASSWORDS / name).unlink(missing_ok=True)
        sys.stdout.write(f"removed {name}\n")


@app.command()
def source(
    folder: Folder,
    device: Annotated[str, typer.Argument(help="The device's id.")],
    name: Annotated[str, typer.Argument(metavar="SOURCE", help="The name of its `topic` source.")],
    topic: Annotated[str, typer.Argument(help="What the source reads: a topic, or a filter.")],
    host: Host = "",
    port: Port = 1883,
) -> None:
    """Add a user for a device's `topic` source, DEVICE.SOURCE: it reads its topic, and nothing else."""
    _add(folder, access.source_user(device, name), access.source_role(device, name, topic), host, port)


@app.command()
def sparkplug(
    folder: Folder,
    devices: Annotated[list[str], typer.Argument(help="Device ids.")],
    group: Annotated[str, typer.Option(help="Sparkplug's group, as in the sink's options.")] = "edged",
    host: Host = "",
    port: Port = 1883,
) -> None:
    """Add devices' users for Sparkplug, DEVICE-sparkplug: each speaks for its own node alone."""
    roles = [access.sparkplug_role(device, group) for device in devices]
    for device, role in zip(devices, roles, strict=True):
        _add(folder, access.sparkplug_user(device), role, host, port)


def _users(folder: Path, device: str) -> list[str]:
    """Name a device's users: its own, and those that were added for what stands beside it."""
    further = [file.name for file in sorted((folder / PASSWORDS).glob(f"{access.user(device)}.*"))]
    beside = f"{device}-sparkplug"
    return [device, *further, *([beside] if (folder / PASSWORDS / beside).is_file() else [])]


def _add(folder: Path, name: str, role: access.Document, host: str, port: int) -> None:
    password = _fresh_password(folder, name)
    if host:
        _tell(folder, host, port, access.commands_to_add(name, password, role, [role["rolename"]]))
    else:
        user = access.client(name, password, [role["rolename"]])
        _write(folder / SECURITY, json.dumps(access.with_user(_read(folder), user, role), indent=1))
    sys.stdout.write(f"added {name}; its password lies in {folder / PASSWORDS / name}\n")


def _tell(folder: Path, host: str, port: int, commands: Sequence[access.Document]) -> None:
    login = Login(access.ADMIN, (folder / PASSWORDS / access.ADMIN).read_text(encoding="utf-8").strip())
    faults = command(Place(host, port), login, commands)
    # What is to be removed first need not be there.
    serious = [fault for fault in faults if not fault.startswith("delete")]
    if serious:
        message = f"cannot change the broker at {host}:{port}: {'; '.join(serious)}"
        raise ConfigError(message)


def _fresh_password(folder: Path, name: str) -> str:
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    _write(folder / PASSWORDS / access.user(name), password + "\n")
    return password


def _read(folder: Path) -> access.Document:
    file = folder / SECURITY
    try:
        document: access.Document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"cannot read {file}: {error}, expected the rules that `edgectl fleet broker init` wrote"
        raise ConfigError(message) from error
    return document


def _hand_over(folder: Path) -> None:
    """Give a folder of root's to the user that mosquitto becomes when root starts it; passwords stay with root."""
    if os.geteuid() == 0:
        with suppress(LookupError):
            shutil.chown(folder, "mosquitto", "mosquitto")


def _write(file: Path, text: str) -> None:
    """Replace a file that only its owner may read, who is the folder's: rules and passwords are nobody else's business."""
    beside = file.with_name(f".{file.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        if os.geteuid() == 0:
            folder = file.parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        beside.replace(file)
    except OSError as error:
        message = f"cannot write {file}: {error.strerror}, expected a folder that takes it"
        raise ConfigError(message) from error
