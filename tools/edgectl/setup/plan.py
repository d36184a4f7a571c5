"""What setting a box up consists of, in order.

The account comes first, since files belong to it, and the service last, so that nothing half set up ever starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgectl.setup.account import account, folders, shipped_file
from edgectl.setup.machine import Machine
from edgectl.setup.program import Program, unit_text
from edgectl.setup.service import EDGED, SAFE, UNITS, enable, reload, start
from edgectl.setup.steps import File, Step, files_step
from edged.config.share import shipped

BOTH = ("cloud-broker", "credentials")
"""Drop-ins that safe mode takes, too."""
DROP_INS = ("cloud-broker", "cpu-only", "gpio", "jetson", "polite")
"""Those that a person chooses; ``credentials`` comes with the password."""
UDEV = "/etc/udev/rules.d/60-edged.rules"
PASSWORD = "/etc/edged/credentials/mqtt"  # noqa: S105 - a file's name
TRUST = "/etc/edged/trust/root.json"
PROFILES = "/etc/edged/device-profiles"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the box shall get besides what every one gets. Files are given by their content."""

    drop_ins: tuple[str, ...] = ()
    password: bytes | None = None
    trust: bytes | None = None
    profile: tuple[str, bytes] | None = None
    """A device profile's file name and text."""
    starts: bool = True


def install_steps(machine: Machine, program: Program, wishes: Wishes) -> list[Step]:
    """Give every step that makes a machine one that runs edged."""
    rules = [shipped_file("udev/rules.d/60-edged.rules", UDEV)]
    units = _units(program)
    chosen = [name for name in (*DROP_INS, "credentials") if _is_chosen(machine, name, wishes)]
    drop_ins = {name: [shipped_file(f"drop-ins/{name}.conf", path) for path in drop_in_paths(name)] for name in chosen}
    steps = [
        _program(machine, program),
        account(machine),
        folders(machine),
        files_step("device rules", UDEV, machine, rules, _plugged(machine)),
        files_step("units", f"{EDGED} and {SAFE} for {program.file}", machine, units),
        *(files_step(f"drop-in {name}", files[0].path, machine, files) for name, files in drop_ins.items()),
        *_own_files(machine, wishes),
    ]
    if machine.is_live:
        steps.append(reload(machine))
    steps.append(enable(machine))
    if machine.is_live and wishes.starts:
        counts = [file.path for files in (units, *drop_ins.values()) for file in files]
        steps.append(start(machine, [*counts, *([PASSWORD] if wishes.password is not None else [])]))
    return steps


def _program(machine: Machine, program: Program) -> Step:
    """Say what is started; putting it there is pipx's part, and an image may get it later."""
    is_there = machine.at(str(program.file)).is_file()
    what = str(program.file) if is_there else f"{program.file} is not there yet: the units start nothing until it is"
    return Step("program", what, lambda: "already" if is_there else "left", lambda: None)


def _is_chosen(machine: Machine, name: str, wishes: Wishes) -> bool:
    """Whether a drop-in shall be there: one that an edged before this one has put there stays, and comes up to date."""
    is_wished = name in wishes.drop_ins or (name == "credentials" and wishes.password is not None)
    return is_wished or any(machine.at(path).is_file() for path in drop_in_paths(name))


def drop_in_paths(name: str) -> list[str]:
    """Give where a shipped drop-in belongs."""
    units = (EDGED, SAFE) if name in BOTH else (EDGED,)
    return [f"{UNITS}/{unit}.d/{name}.conf" for unit in units]


def _units(program: Program) -> list[File]:
    folder = shipped("systemd")
    texts = {unit: (folder / unit).read_text(encoding="utf-8") for unit in (EDGED, SAFE)}
    return [File(f"{UNITS}/{unit}", unit_text(text, program).encode()) for unit, text in texts.items()]


def _own_files(machine: Machine, wishes: Wishes) -> list[Step]:
    """Give the steps for what this box alone has."""
    files: list[tuple[str, File]] = []
    if wishes.password is not None:
        files.append(("broker's password", File(PASSWORD, wishes.password, 0o600)))
    if wishes.profile is not None:
        name, text = wishes.profile
        files.append(("device profile", File(f"{PROFILES}/{name}", text, 0o640, "edged")))
    if wishes.trust is not None:
        files.append(("root of trust", File(TRUST, wishes.trust, 0o640, "edged")))
    return [files_step(name, file.path, machine, [file]) for name, file in files]


def _plugged(machine: Machine) -> Callable[[], None]:
    """Give what makes the rules count for what is plugged in already; a container has no udev, and no devices to guard."""

    def tell() -> None:
        if machine.is_live and Path("/run/udev/control").exists():
            machine.run(["udevadm", "control", "--reload"])
            machine.run(["udevadm", "trigger", "--subsystem-match=usb", "--subsystem-match=apex"])

    return tell
