"""Device nodes: whether the daemon's user may use what the configuration names, and what else is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgectl.checks.account import Account, daemon_account, group_of, pwd_name
from edgectl.checks.rows import Ground, Row
from edged.config import schema

BOTH = os.R_OK | os.W_OK


@dataclass(frozen=True, slots=True)
class Kind:
    """Nodes of one kind below ``dev``: a regular expression of their names, and the group that distributions give them."""

    name: str
    folder: str
    pattern: str
    group: str


KINDS: tuple[Kind, ...] = (
    Kind("cameras", "dev", r"video\d+", "video"),
    Kind("serial ports", "dev", r"tty(USB|ACM|AMA|THS)\d+", "dialout"),
    Kind("Coral PCIe", "dev", r"apex_\d+", "apex"),
    Kind("GPU", "dev/dri", r"renderD\d+", "render"),
    Kind("NPU", "dev/accel", r"accel\d+", "render"),
    Kind("Hailo", "dev", r"hailo\d+", "plugdev"),
    Kind("microphones", "dev/snd", r"pcmC\d+D\d+c", "audio"),
    Kind("I2C", "dev", r"i2c-\d+", "i2c"),
    Kind("GPIO", "dev", r"gpiochip\d+", "gpio"),
    Kind("SPI", "dev", r"spidev\d+\.\d+", "spi"),
)


def rows(ground: Ground) -> Iterator[Row]:
    """Judge each node that the configuration names, then each kind of nodes that is there."""
    account = daemon_account(ground)
    if account.is_own and not ground.is_live:
        yield Row("user", "daemon", "skipped", "no user edged in etc/passwd")
        return
    yield Row("user", "daemon", "ok", f"judged as {account.name}")
    named = dict(_named(ground))
    for source, (place, group) in named.items():
        yield from _of_source(source, place, group, account, ground)
    for kind in KINDS:
        nodes = [ground.root / kind.folder / name for name in ground.tree.matching(kind.folder, kind.pattern)]
        nodes = [node for node in nodes if not node.is_dir()]
        if nodes:
            yield _of_kind(kind, nodes, account, ground)


def device_of(source: schema.Source, ground: Ground) -> tuple[Path, str] | None:
    """Give the node that a source reads, and its usual group; None when it reads none."""
    if isinstance(source, schema.CameraSource):
        url = f"/dev/video{source.url}" if source.url.isdecimal() else source.url
        return (ground.root / url.lstrip("/"), "video") if url.startswith("/") else None
    port = getattr(source, "port", None)
    if isinstance(source, schema.SerialSource | schema.ModbusSource) and isinstance(port, Path):
        return ground.root / str(port).lstrip("/"), "dialout"
    return None


def closed(source: schema.Source, check: str, ground: Ground) -> Row | None:
    """Give a row where whoever runs this may not open a source's node, so that it cannot be tried; None where it can."""
    device = device_of(source, ground)
    if device is None or not device[0].exists() or os.access(device[0], BOTH):
        return None
    account = daemon_account(ground)
    if account.may(device[0], BOTH):
        why = f"{pwd_name()} may not open {device[0]}, {account.name} may: sudo edgectl doctor"
        return Row(check, source.name, "skipped", why)
    row = next(iter(_of_source(source.name, *device, account, ground)))
    return Row(check, source.name, "fail", row.evidence, row.remedy)


def lend(account: Account, group: str, ground: Ground) -> str:
    """Give the command that puts the daemon's user into a group."""
    place = f" --prefix {ground.root}" if not ground.is_live else ""
    again = " && sudo systemctl restart edged" if ground.is_live and not account.is_own else ""
    return f"sudo usermod{place} -aG {group} {account.name}{again}"


def _named(ground: Ground) -> Iterator[tuple[str, tuple[Path, str]]]:
    for source in ground.config.source:
        device = device_of(source, ground)
        if device is not None:
            yield source.name, device


def _of_source(source: str, place: Path, group: str, account: Account, ground: Ground) -> Iterator[Row]:
    if not place.exists():
        # The groups cameras and serial say more of what is not there.
        yield Row("node", source, "fail", f"{place} is not there", f"ls -l {place.parent}; dmesg | tail -n 20")
        return
    about = place.stat()
    shown = f"{place} is {group_of(place, ground, str(about.st_gid))}'s, mode {about.st_mode & 0o777:04o}"
    if account.may(place, BOTH):
        yield Row("node", source, "ok", f"{shown}: {account.name} may use it")
        return
    if about.st_mode & 0o060 != 0o060:
        remedy = f"sudo chgrp {group} {place} && sudo chmod 660 {place}"
        yield Row("node", source, "fail", f"{shown}: closed to its group", remedy)
        return
    remedy = lend(account, group_of(place, ground, group), ground)
    yield Row("node", source, "fail", f"{shown}: {account.name} is not in that group", remedy)


def _of_kind(kind: Kind, nodes: list[Path], account: Account, ground: Ground) -> Row:
    closed = [node for node in nodes if not account.may(node, BOTH)]
    shown = ", ".join(node.name for node in nodes[:6]) + (f" and {len(nodes) - 6} more" if len(nodes) > 6 else "")
    if not closed:
        return Row("permission", kind.name, "ok", f"{shown}: {account.name} may use them")
    # What nobody asked for is no fault.
    command = lend(account, group_of(closed[0], ground, kind.group), ground)
    return Row("permission", kind.name, "skipped", f"{shown}: not {account.name}'s to use; if wanted: {command}")
