"""The disk of the state directory: whether it takes what edged writes, how much, how soon, and how worn it is."""

from __future__ import annotations

import fcntl
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgectl.checks.account import daemon_account
from edgectl.checks.nvme import Ioctl, health
from edgectl.checks.rows import Ground, Row, Status
from edgectl.checks.service import UNIT, settings

MIB = 2**20
LEAST_MB = 64.0
"""Below this a bundle of an update has no room, and the journal ends."""
FSYNCS, BLOCK_BYTES = 16, 4096
SLOW_MS, STUCK_MS = 100.0, 1000.0
"""An SD card takes 4 to 20 ms; what is lost at a power cut grows with it, and from a second on results wait in memory."""
LEAST_INODES = 1000
WORN = {1: "less than a tenth", 10: "nine tenths and more", 11: "all"}
WORN_FROM, DEAD_FROM = 9, 11
"""JEDEC eMMC 5.1, DEVICE_LIFE_TIME_EST: tenths of the promised writes that are used; 11 is more than all."""
WORN_PERCENT, ALL_PERCENT = 90, 100
"""The same of an NVMe drive's Percentage Used, which goes on beyond 100."""


def rows(ground: Ground) -> Iterator[Row]:
    """Judge the state directory, step by step; what a fault explains is left out."""
    state = ground.config.state.directory
    if not state.is_dir() and _can_see(state.parent):
        yield _absent(state, ground)
        return
    mount, options = _mount(state)
    if "ro" in options.split(","):
        shown = f"{mount} is mounted read-only ({options})"
        remedy = (
            f"sudo mount -o remount,rw {mount}  # if that is refused: dmesg | grep -i -e 'i/o error' -e ext4 -e mmc"
        )
        yield Row("writable", str(state), "fail", shown, remedy)
        return
    yield from _space(state, mount, ground)
    yield from _writable(state, ground)


def wear(ground: Ground, ioctl: Ioctl = fcntl.ioctl) -> Iterator[Row]:
    """Tell how much of a flash chip's life is used, and of errors that its file system met."""
    told = [*_emmc(ground), *(_nvme(ground, ioctl) if ground.is_live else ())]
    yield from told or [Row("wear", "disk", "skipped", "no eMMC and no NVMe drive, and an SD card never tells")]
    for name in ground.tree.names("sys/fs/ext4"):
        errors = ground.tree.integer(f"sys/fs/ext4/{name}/errors_count")
        if errors:
            remedy = "sudo touch /forcefsck && sudo reboot  # the file system is checked as it starts"
            yield Row("errors", name, "fail", f"sys/fs/ext4/{name}/errors_count = {errors}", remedy)


def _emmc(ground: Ground) -> Iterator[Row]:
    for name in ground.tree.matching("sys/block", r"mmcblk\d+"):
        used = [int(part, 16) for part in (ground.tree.text(f"sys/block/{name}/device/life_time") or "").split()]
        if not used or not any(used):
            continue
        worst = max(used)
        tenths = WORN.get(worst, f"{worst - 1} to {worst} tenths")
        status: Status = "fail" if worst >= DEAD_FROM else "warn" if worst >= WORN_FROM else "ok"
        yield _worn(name, status, f"sys/block/{name}/device/life_time: {tenths} of its writes used")


def _nvme(ground: Ground, ioctl: Ioctl) -> Iterator[Row]:
    for name in ground.tree.matching("sys/class/nvme", r"nvme\d+"):
        try:
            found = health(ground.root / "dev" / name, ioctl)
        except PermissionError:
            yield Row("wear", name, "skipped", "it tells root alone: sudo edgectl doctor disk")
        except OSError as error:
            yield Row("wear", name, "skipped", f"it does not tell: {error.strerror}")
        else:
            is_dead = found.used >= ALL_PERCENT or found.faults
            status: Status = "fail" if is_dead else "warn" if found.used >= WORN_PERCENT else "ok"
            shown = f"{found.used} % of its writes used, {found.spare} % of its spare blocks left"
            yield _worn(f"{name}n1", status, "; ".join([shown, *found.faults]))


def _worn(name: str, status: Status, shown: str) -> Row:
    remedy = f"sudo dd if=/dev/{name} of=/media/usb/{name}.img bs=4M status=progress  # then exchange it"
    return Row("wear", name, status, shown, remedy if status != "ok" else "")


def _absent(state: Path, ground: Ground) -> Row:
    """Judge whether the daemon can make it at its first start; a unit has it made."""
    account = daemon_account(ground)
    above = next(place for place in state.parents if place.is_dir())
    made_by_unit = f"/var/lib/{settings(ground, UNIT).get('StateDirectory', '')}" == str(state)
    if made_by_unit or account.may(above, os.W_OK | os.X_OK):
        return Row("state directory", str(state), "skipped", "not there yet: edged makes it at its first start")
    # Made by root without a word of whose it is, it would be root's. Whoever looks may be in another group than one of the own name.
    owner = f"-o {account.name} " + ("" if account.is_own else f"-g {account.name} ")
    remedy = f"sudo install -d {owner}-m 700 {state}"
    return Row("state directory", str(state), "fail", f"{account.name} cannot make it in {above}", remedy)


def _space(state: Path, mount: str, ground: Ground) -> Iterator[Row]:
    try:
        about = os.statvfs(state)
    except OSError as error:
        yield Row("space", str(state), "skipped", f"{error.strerror}: sudo edgectl doctor disk")
        return
    free_mb, whole_mb = about.f_bavail * about.f_frsize / MIB, about.f_blocks * about.f_frsize / MIB
    # What the outbox has taken already it need not find again.
    wanted_mb = max(0.0, (ground.config.outbox.max_bytes - _size(state / OUTBOX)) / MIB)
    shown = f"{free_mb:.0f} of {whole_mb:.0f} MB free on {mount}"
    look = f"sudo du -xah {mount} | sort -h | tail -n 15  # then remove what is not needed"
    if about.f_files and about.f_favail < LEAST_INODES:
        yield Row("space", str(state), "fail", f"{about.f_favail} of {about.f_files} inodes free on {mount}", look)
    if free_mb < min(LEAST_MB, whole_mb / 10):
        yield Row("space", str(state), "fail", f"{shown}: full", look)
    elif free_mb < wanted_mb:
        room = max(MIB, int(free_mb / 2) * MIB)
        remedy = f"{ground.edit(f'max_bytes = {room} below [outbox]')}, or make room: {look}"
        yield Row("space", str(state), "warn", f"{shown}; the outbox may take {wanted_mb:.0f} more", remedy)
    else:
        yield Row("space", str(state), "ok", shown)


def _writable(state: Path, ground: Ground) -> Iterator[Row]:
    account = daemon_account(ground)
    if not account.may(state, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"sudo chown -R {account.name}: {state} && sudo chmod u+rwx {state}"
        yield Row("writable", str(state), "fail", f"{account.name} may not write there", remedy)
        return
    try:
        times_ms = _fsyncs(state)
    except PermissionError as error:
        yield Row("fsync", str(state), "skipped", f"{error.strerror}: sudo edgectl doctor disk")
        return
    except OSError as error:
        remedy = "journalctl -k -b --no-pager | grep -i -e 'i/o error' -e mmc -e nvme | tail"
        yield Row("fsync", str(state), "fail", f"cannot write: {error.strerror}", remedy)
        return
    p50, worst = statistics.median(times_ms), max(times_ms)
    status: Status = "fail" if p50 > STUCK_MS else "warn" if p50 > SLOW_MS else "ok"
    remedy = "iostat -x 2 3  # who else writes? If nobody: exchange the card" if status != "ok" else ""
    details = {"p50_ms": round(p50, 2), "worst_ms": round(worst, 2), "writes": len(times_ms)}
    shown = f"{len(times_ms)} writes of 4 KiB: p50 {p50:.1f} ms, worst {worst:.1f} ms"
    yield Row("fsync", str(state), status, shown, remedy, details)


def _fsyncs(state: Path) -> list[float]:
    """Write and sync as the outbox does, in a file of its own that has no name."""
    times_ms = []
    with tempfile.TemporaryFile(dir=state) as file:
        for _ in range(FSYNCS):
            file.write(os.urandom(BLOCK_BYTES))
            began_s = time.perf_counter()
            file.flush()
            os.fsync(file.fileno())
            times_ms.append((time.perf_counter() - began_s) * 1000)
    return times_ms


def _mount(state: Path) -> tuple[str, str]:
    """Give the mount point that a folder lies on, and its options (proc(5), mountinfo); the last of several at one place counts."""
    try:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        place = str(state.resolve())
    except OSError:
        return "/", ""
    best = ("/", "")
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        fields, of_super = head.split(), tail.split()
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        is_above = f"{place}/".startswith(point if point == "/" else f"{point}/")
        if is_above and len(point) >= len(best[0]):
            best = (point, ",".join([fields[5], of_super[2] if len(of_super) > 2 else ""]))
    return best


def _can_see(folder: Path) -> bool:
    return os.access(folder, os.X_OK) or not folder.exists()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


OUTBOX = "outbox.sqlite3"
