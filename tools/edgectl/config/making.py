"""``edgectl config init`` from the questions to the running service."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from edgectl.config import asks, written
from edgectl.config.found import Found, look
from edgectl.config.questions import Places, Said, answers
from edgectl.options import CONFIG
from edgectl.plain import one_line, print_json
from edged.assembly.box import model_folders
from edged.config.identity import device_id
from edged.config.schema import Config, Device
from edged.domain.errors import ConfigError
from edged.update.manifest import find_bundles

HERE = Path("/")
HANDED_OVER = Path("/run/credentials/edged/mqtt")
"""Where the unit finds the broker's password (the drop-in credentials.conf)."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is gone about."""

    asks_nothing: bool
    replaces: bool
    starts: bool
    as_json: bool
    sysroot: Path = HERE
    """Whose hardware is looked at; what another machine calls itself is not known to ``edged check`` here, and written down."""


def credential(source: Path) -> Path | None:
    """Give where the unit will find the broker's password, when ``edgectl install`` has been given one."""
    return HANDED_OVER if there(source) else None


def there(file: Path) -> Path | None:
    """Give a file that is there, as far as may be looked."""
    try:
        return file if file.exists() else None
    except PermissionError:
        return None


def make(said: Said, file: Path, places: Places, manner: Manner) -> None:
    """Ask, write, and start. Raises ConfigError and DeviceError."""
    if not manner.asks_nothing and not asks.is_terminal():
        message = "cannot ask: standard input or error is no terminal, expected one"
        raise ConfigError(message, remedy="run it with --yes, and with options for what is not usual")
    written.ready(file, replaces=manner.replaces)
    if not manner.sysroot.is_dir():
        message = f"cannot look at {manner.sysroot}: it is no folder, expected another machine's files"
        raise ConfigError(message)
    found, machine = look(manner.sysroot), device_id(manner.sysroot)
    who = asks.Nobody() if manner.asks_nothing else asks.Person()
    for line in _shown(found):
        who.say(line)
    catalogue = find_bundles(model_folders(Config(device=Device(id="unnamed"))))
    answered = answers(said, found, who, catalogue.bundles, machine, places)
    if manner.sysroot != HERE:
        answered = replace(answered, device=answered.device or machine)
    password = (places.password, answered.password) if answered.password else None
    done = written.write(answered, file, password)
    state = ""
    if manner.starts and written.can_start(file) and who.whether("Start edged now?", usual=True):
        state = written.start()
    _tell(done, state, found, manner)


def _shown(found: Found) -> list[str]:
    return [
        f"This box: {found.board or 'not known'}",
        f"  cameras: {', '.join(f'{one.path} ({one.name})' for one in found.cameras) or 'none'}",
        f"  serial ports: {', '.join(str(one.path) for one in found.ports) or 'none'}",
        f"  accelerators: {', '.join(found.accelerators) or 'none'}",
    ]


def _tell(done: written.Written, state: str, found: Found, manner: Manner) -> None:
    if manner.as_json:
        document = {
            "schema": "edgectl.config-init/1",
            "file": str(done.file),
            "kept": str(done.kept) if done.kept else None,
            "faults": list(done.faults),
            "service": state or None,
            "found": {
                "cameras": [str(one.path) for one in found.cameras],
                "serial_ports": [str(one.path) for one in found.ports],
                "accelerators": list(found.accelerators),
            },
        }
        print_json(document)
        return
    kept = f" (the old one is {done.kept})" if done.kept else ""
    lines = [f"written: {done.file}{kept}", *(f"not yet there: {one_line(fault)}" for fault in done.faults)]
    lines += [f"edged is {state}" if state else f"next: {_next(done.file)}"]
    sys.stdout.write("\n".join(lines) + "\n")


def _next(file: Path) -> str:
    return "sudo edgectl install" if file == CONFIG else f"edged run --config {shlex.quote(str(file))}"
