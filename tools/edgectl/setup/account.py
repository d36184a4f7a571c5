"""The account that the daemon runs as, the groups of its devices, and the folders of its configuration."""

from __future__ import annotations

import stat

from edgectl.setup.machine import Machine
from edgectl.setup.steps import File, Outcome, Step, worst
from edged.config.share import shipped

SYSUSERS, TMPFILES = "/etc/sysusers.d/edged.conf", "/etc/tmpfiles.d/edged.conf"


def account(machine: Machine) -> Step:
    """Give the step that makes the user and the groups that are not there yet."""
    file = shipped_file("sysusers.d/edged.conf", SYSUSERS)
    rows = [line.split()[:2] for line in file.content.decode().splitlines() if line.startswith(("u ", "g "))]
    names = [name for _, name in rows]

    def look() -> Outcome:
        return worst([file.look(machine), *("already" if _is_there(machine, *row) else "done" for row in rows)])

    def act() -> None:
        file.write(machine)
        machine.run([*machine.there("systemd-sysusers"), "edged.conf"])

    return Step("user and groups", ", ".join(names), look, act)


def folders(machine: Machine) -> Step:
    """Give the step that makes the folders of the configuration, and gives a password in them to the account."""
    file = shipped_file("tmpfiles.d/edged.conf", TMPFILES)
    rows = [line.split() for line in file.content.decode().splitlines() if line.startswith(("d ", "z "))]

    def look() -> Outcome:
        there = [_is_so(machine, kind, path, int(mode, 8), group) for kind, path, mode, _, group, *_ in rows]
        return worst([file.look(machine), *there])

    def act() -> None:
        file.write(machine)
        machine.run([*machine.there("systemd-tmpfiles"), "--create", "edged.conf"])

    return Step("folders", ", ".join(row[1] for row in rows if row[0] == "d"), look, act)


def shipped_file(name: str, path: str) -> File:
    """Give one of the files that travel with edged, and its place."""
    return File(path, (shipped("systemd") / name).read_bytes())


def _is_there(machine: Machine, kind: str, name: str) -> bool:
    """A user has a group of the same name."""
    return machine.gid(name) is not None and (kind == "g" or machine.uid(name) is not None)


def _is_so(machine: Machine, kind: str, path: str, mode: int, group: str) -> Outcome:
    """Hold a line of tmpfiles.d(5) against what is there: ``d`` makes a folder, ``z`` sets right what is there."""
    try:
        status = machine.at(path).lstat()
    except FileNotFoundError:
        return "done" if kind == "d" else "already"
    except OSError:
        return "changed"
    same = stat.S_IMODE(status.st_mode) == mode and status.st_gid == machine.gid(group)
    return "already" if same and (kind == "z" or stat.S_ISDIR(status.st_mode)) else "changed"
