"""The service: the unit as systemd reads it, drop-ins included, its watchdog, and how the daemon is."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgectl.checks.rows import Ground, Row, program
from edged.config.share import shipped

UNIT, SAFE = "edged.service", "edged-safe.service"
FOLDERS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""In systemd's order (systemd.unit(5))."""
LEAST_WATCHDOG_S = 25.0
"""A loop counts as hung after 20 s: a shorter watchdog would end what still mends itself."""
HIDDEN = ("/home/", "/root/", "/run/user/")
"""What ProtectHome= hides."""
ASKED = ("ActiveState", "SubState", "Result", "NRestarts", "UnitFileState", "StatusText")
SYSTEMD_S = 3.0
WATCHDOG = "sys/class/watchdog/watchdog0"
SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "ms": 0.001}

Settings = Mapping[str, str]


def unit(ground: Ground) -> Iterator[Row]:
    """Judge the unit's file and what it names."""
    found = settings(ground, UNIT)
    if not found:
        # A container, or somebody's own way to start it, has none.
        remedy = f"sudo {program()} install" if ground.is_live else install(ground, UNIT, SAFE)
        yield Row("installed", UNIT, "warn", f"in none of {', '.join(FOLDERS[:4])}", remedy)
        return
    yield Row("installed", UNIT, "ok", found["_file"])
    yield _watchdog(found, ground)
    yield _program(found, ground)
    yield _account(found, ground)
    if found.get("OnFailure") == SAFE and not settings(ground, SAFE):
        yield Row("safe mode", SAFE, "fail", f"OnFailure={SAFE}, which is not installed", install(ground, SAFE))


def state(ground: Ground) -> Iterator[Row]:
    """Tell how the service manager sees it, and what the daemon says of itself."""
    yield from _reasons(ground)
    has_systemd = Path("/run/systemd/system").is_dir()
    told = _asked() if has_systemd else {}
    if not told:
        why = "systemd does not answer this user" if has_systemd else "no systemd on this machine"
        runs = f"{ground.daemon.who} runs" if ground.daemon.runs else "edged does not run"
        yield Row("state", UNIT, "skipped", f"{why}; {runs}")
        return
    shown = ", ".join(f"{name}={told[name]}" for name in ASKED if told.get(name))
    if told.get("ActiveState") == "active":
        is_off = told.get("UnitFileState") == "disabled"
        remedy = f"sudo systemctl enable {UNIT}" if is_off else ""
        yield Row("state", UNIT, "warn" if is_off else "ok", shown, remedy)
    elif ground.daemon.runs:
        yield Row("state", UNIT, "ok", f"{ground.daemon.who} runs, not by the unit")
    else:
        remedy = f"journalctl -u edged -b -p warning -n 30 --no-pager; sudo systemctl enable --now {UNIT}"
        yield Row("state", UNIT, "warn", shown or "unknown to systemd", remedy)


def hardware_watchdog(ground: Ground) -> Iterator[Row]:
    """Tell whether the board's own watchdog is fed: it starts a box again whose kernel hangs."""
    status = ground.tree.text(f"{WATCHDOG}/state")
    if status is None:
        yield Row("hardware watchdog", "board", "skipped", "the board has none")
    elif status == "active":
        yield Row("hardware watchdog", "board", "ok", f"{WATCHDOG}/state = active")
    else:
        place = ground.root / "etc/systemd/system.conf.d"
        remedy = (
            f"sudo install -d {place} && printf '[Manager]\\nRuntimeWatchdogSec=30\\n' | "
            f"sudo tee {place}/watchdog.conf && sudo systemctl daemon-reexec"
        )
        yield Row(
            "hardware watchdog", "board", "warn", f"{WATCHDOG}/state = {status}: a kernel that hangs stays so", remedy
        )


def settings(ground: Ground, name: str) -> Settings:
    """Read a unit with its drop-ins: the last word for each key, those of lists joined; empty where there is no unit."""
    file = next((f"{folder}/{name}" for folder in FOLDERS if ground.tree.text(f"{folder}/{name}")), None)
    if file is None:
        return {}
    drop_ins = {
        one: f"{folder}/{name}.d/{one}"
        for folder in reversed(FOLDERS)
        for one in ground.tree.matching(f"{folder}/{name}.d", r".+\.conf")
    }
    found: dict[str, str] = {"_file": file}
    for place in (file, *(drop_ins[one] for one in sorted(drop_ins))):
        for key, value in re.findall(r"^(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", ground.tree.raw(place) or "", re.MULTILINE):
            # An empty value takes back what a list has so far.
            before = found.get(key, "")
            found[key] = f"{before} {value}".strip() if key in LISTS and value else value
    return found


LISTS = frozenset({"SupplementaryGroups", "DeviceAllow", "IPAddressAllow"})


def seconds(value: str) -> float:
    """Read a time span of systemd's (systemd.time(7)); infinity and what it is not are 0: no watchdog."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value)
    return sum(float(number) * SECONDS.get(word, 0.0) for number, word in parts)


def install(ground: Ground, *names: str) -> str:
    """Give the command that puts shipped units in their place."""
    share = shipped("systemd")
    files = " ".join(str(share / name) for name in names)
    return f"sudo install -D -m 644 -t {ground.root / FOLDERS[0]} {files} && sudo systemctl daemon-reload"


def _watchdog(found: Settings, ground: Ground) -> Row:
    watchdog_s, kind = seconds(found.get("WatchdogSec", "")), found.get("Type", "simple")
    shown = f"Type={kind}, WatchdogSec={found.get('WatchdogSec', '')}"
    if not kind.startswith("notify") or watchdog_s == 0:
        return Row("watchdog", UNIT, "fail", f"{shown}: nothing ends a daemon that hangs", install(ground, UNIT))
    if watchdog_s < LEAST_WATCHDOG_S:
        return Row("watchdog", UNIT, "warn", f"{shown}: less than edged takes to tell a hang", install(ground, UNIT))
    return Row("watchdog", UNIT, "ok", shown)


def _program(found: Settings, ground: Ground) -> Row:
    words = found.get("ExecStart", "").split()
    program = words[0].lstrip("-@:+!") if words else ""
    if not program or not ground.tree.exists(program.lstrip("/")):
        remedy = f"python3 -m venv /opt/edged && /opt/edged/bin/pip install edged  # or: sudo systemctl edit {UNIT}"
        return Row("program", UNIT, "fail", f"ExecStart={program}, which is not there", remedy)
    if program.startswith(HIDDEN) and found.get("ProtectHome", "no") != "no":
        return Row("program", UNIT, "fail", f"{program} is hidden by ProtectHome=", f"sudo systemctl edit {UNIT}")
    return Row("program", UNIT, "ok", program)


def _account(found: Settings, ground: Ground) -> Row:
    """Each group has to be there: one that is not keeps the unit from starting (status 216)."""
    users = set(re.findall(r"^([^:\n]+):", ground.tree.raw("etc/passwd") or "", re.MULTILINE))
    groups = set(re.findall(r"^([^:\n]+):", ground.tree.raw("etc/group") or "", re.MULTILINE))
    wanted = {*found.get("SupplementaryGroups", "").split(), *found.get("Group", "").split()}
    missing = [f"user {one}" for one in found.get("User", "").split() if one not in users]
    missing += [f"group {one}" for one in sorted(wanted - groups)]
    if missing:
        share = shipped("systemd") / "sysusers.d" / "edged.conf"
        place = f" --root={ground.root}" if not ground.is_live else ""
        return Row("account", UNIT, "fail", f"no {', no '.join(missing)}", f"sudo systemd-sysusers{place} {share}")
    return Row("account", UNIT, "ok", f"user {found.get('User', 'root')}, groups {' '.join(sorted(wanted))}")


def _reasons(ground: Ground) -> Iterator[Row]:
    health: Mapping[str, Any] = ground.daemon.said.get("health", {})
    for reason in health.get("reasons", ()):
        evidence = str(reason.get("message", ""))
        yield Row(
            str(reason.get("code")), str(reason.get("component")), "warn", evidence, str(reason.get("remedy", ""))
        )
    if health and not health.get("reasons"):
        yield Row("health", "edged", "ok", f"{ground.daemon.who} says {health.get('state', 'nothing')}")


def _asked() -> Mapping[str, str]:
    command = ["systemctl", "show", UNIT, *(f"--property={name}" for name in ASKED)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMD_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
