"""Tries, inside the unit's sandbox, what it must allow and what it must not; writes what each attempt met, None when it worked."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER = 0x10000000
KERNEL_EVENTS = 15  # NETLINK_KOBJECT_UEVENT, which Python does not name
STATE = Path(os.environ["STATE_DIRECTORY"])
LIBC = ctypes.CDLL(None, use_errno=True)


def write(place: Path) -> None:
    place.write_text("x")


def opened(device: str) -> None:
    os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))


def as_root() -> None:
    """Run a set-user-ID program."""
    who = subprocess.run(["/usr/local/bin/id-of-root", "-u"], capture_output=True, text=True, check=True).stdout
    if who.strip() != "0":
        raise PermissionError(f"it ran as {who.strip()}")


def set_user_id() -> None:
    (STATE / "program").touch()
    (STATE / "program").chmod(0o4755)


def other_namespace() -> None:
    if LIBC.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def listed(folder: str) -> None:
    list(Path(folder).iterdir())


def others_processes() -> None:
    if not Path("/proc/1/status").exists():
        raise FileNotFoundError("/proc/1")


def kinds(family: int) -> None:
    socket.socket(family, socket.SOCK_RAW if family == socket.AF_PACKET else socket.SOCK_DGRAM).close()


def reach() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        # RFC 5737: nobody has this address.
        sender.sendto(b"x", ("198.51.100.1", 9))


TRIES: dict[str, Callable[[], object]] = {
    "write its state": lambda: write(STATE / "file"),
    "write a temporary file": lambda: write(Path("/tmp/file")),  # noqa: S108 - the unit's own
    "read its configuration": lambda: listed("/etc/edged/models"),
    "open a serial port": lambda: opened("/dev/ttyS0"),
    "use the network": lambda: kinds(socket.AF_INET),
    "hear of USB devices": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, KERNEL_EVENTS).close(),
    "read the box's memory figures": lambda: Path("/proc/meminfo").read_text(),
    "write its configuration": lambda: write(Path("/etc/edged/conf.d/evil.toml")),
    "write a program": lambda: write(Path("/opt/edged/bin/edged")),
    "write a unit": lambda: write(Path("/etc/systemd/system/evil.service")),
    "set the kernel": lambda: write(Path("/proc/sys/kernel/core_pattern")),
    "look into a home": lambda: listed("/root"),
    "see other processes": others_processes,
    "open the memory": lambda: opened("/dev/mem"),
    "open a device that is not listed": lambda: opened("/dev/fuse"),
    "reach the internet": reach,
    "sniff the network": lambda: kinds(socket.AF_PACKET),
    "run as root": as_root,
    "make a program that runs as its owner": set_user_id,
    "enter a namespace": other_namespace,
    "write code and run it": lambda: mmap.mmap(
        -1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ).close(),
    "set the clock": lambda: __import__("time").clock_settime(0, 0),
}


def main() -> None:
    told: dict[str, str | None] = {}
    for name, attempt in TRIES.items():
        try:
            attempt()
        except (OSError, subprocess.SubprocessError) as error:
            told[name] = f"{type(error).__name__}: {error}"
        else:
            told[name] = None
    write_to = STATE / "probe.json"
    write_to.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
