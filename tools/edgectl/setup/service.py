"""The service itself: known to systemd, started at boot, started now."""

from __future__ import annotations

import time
from collections.abc import Sequence

from edgectl.setup.machine import Machine
from edgectl.setup.steps import Outcome, Step
from edged.domain.errors import DeviceError

EDGED, SAFE = "edged.service", "edged-safe.service"
UNITS = "/etc/systemd/system"
WANTED = f"{UNITS}/multi-user.target.wants/{EDGED}"
CONFIG = "/etc/edged/edged.toml"


def reload(machine: Machine) -> Step:
    """Give the step that lets systemd read the units; it knows itself whether it has to."""

    def look() -> Outcome:
        shown = machine.run(["systemctl", "show", "--property=LoadState,NeedDaemonReload", EDGED, SAFE], check=False)
        return "done" if "NeedDaemonReload=yes" in shown or "LoadState=not-found" in shown else "already"

    return Step("known to systemd", "systemctl daemon-reload", look, lambda: _systemctl(machine, "daemon-reload"))


def enable(machine: Machine) -> Step:
    """Give the step that has it started at every boot."""

    def look() -> Outcome:
        return "already" if machine.at(WANTED).is_symlink() else "done"

    def act() -> None:
        machine.run([*machine.there("systemctl"), "enable", EDGED])

    return Step("starts at boot", f"systemctl enable {EDGED}", look, act)


def start(machine: Machine, files: Sequence[str]) -> Step:
    """Give the step that starts it where there is a configuration, and starts it again where one of ``files`` is newer than its start."""
    if not _is_file(machine, CONFIG):
        return Step("runs", "once there is a configuration: sudo edgectl config init", lambda: "left", lambda: None)

    def look() -> Outcome:
        started_s = _started_s(machine)
        if started_s is None:
            return "done"
        newest_s = max(machine.at(file).stat().st_mtime for file in files if _is_file(machine, file))
        return "changed" if newest_s > started_s else "already"

    def act() -> None:
        # One that ended too often is not started again otherwise.
        machine.run(["systemctl", "reset-failed", EDGED], check=False)
        try:
            _systemctl(machine, "restart", EDGED)
        except DeviceError as error:
            message = f"cannot start {EDGED}: {error}"
            raise DeviceError(
                message, remedy="journalctl -u edged -n 30 says why, and edged check what the configuration lacks"
            ) from error

    return Step("runs", f"systemctl restart {EDGED}", look, act)


def _started_s(machine: Machine) -> float | None:
    """Give when it was started, by today's clock as files have it; None when it does not run."""
    shown = machine.run(
        ["systemctl", "show", "--property=ActiveState,ActiveEnterTimestampMonotonic", EDGED], check=False
    )
    told = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if told.get("ActiveState") != "active":
        return None
    boot_s = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    return boot_s + int(told["ActiveEnterTimestampMonotonic"]) / 1e6


def _is_file(machine: Machine, path: str) -> bool:
    """Whether it is there, as far as may be looked."""
    try:
        return machine.at(path).is_file()
    except PermissionError:
        return False


def _systemctl(machine: Machine, *words: str) -> None:
    machine.run(["systemctl", *words])
