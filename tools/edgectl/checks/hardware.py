"""The checks of ``edgectl doctor hardware``: each accelerator from its place on the bus to a call that hangs.

A canary model runs in a child through the same code as the daemon's. The hang is a real one: the child is stopped (SIGSTOP) in the middle
of a call, has to be ended at its deadline, and the device has to open again afterwards.
"""

from __future__ import annotations

import grp
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgectl.checks.canary import Canary, canary_for, hang
from edgectl.checks.rows import Ground, Row, Step, Verdict, walked
from edged.control.possible import ACCELERATOR_HARDWARE, DRIVEN_BY
from edged.domain.device import Accelerator, Inventory
from edged.domain.errors import EdgedError
from edged.engines.edgetpu import find_library, holders
from edged.engines.providers import PACKAGES
from edged.hardware.edgetpu import USB2_MBPS
from edged.hardware.inventory import find_accelerators

OWN = "edgetpu"
PLUG_S, LOOK_S = 10.0, 0.2
"""How long a device takes at most to come or go on its bus, and how often is looked."""


@dataclass(slots=True)
class Subject:
    """An accelerator under test. ``broken`` names the check that failed: those that need it are skipped from then on."""

    found: Accelerator | None
    way: str
    """As bundles call it; ``cpu`` is the comparison."""
    folder: str
    """For what is compiled."""
    broken: str = ""
    canary: Canary | None = field(default=None)

    @property
    def name(self) -> str:
        """Name it for people."""
        return (
            self.way
            if self.found is None
            else f"{self.way} ({self.found.bus} {self.found.address or ''})".replace(" )", ")")
        )

    def details(self, step: str) -> Mapping[str, Any]:
        """Give what the record has of a step: figures and libraries of the canary."""
        return self.canary.details if step == "canary" and self.canary else {}


def rows(ground: Ground) -> Iterator[Row]:
    """Walk through every accelerator that is there, and the processor for comparison."""
    found = ground.box.inventory.accelerators
    if not found:
        yield Row("found", "accelerators", "skipped", _none(ground.box.inventory))
    compiling = ground.box.engines.compiling
    with tempfile.TemporaryDirectory() as folder:
        for accelerator in found:
            ways = [way for way, kind in ACCELERATOR_HARDWARE.items() if kind == accelerator.kind]
            driven = [way for way in ways if way in DRIVEN_BY]
            steps = STEPS if ground.is_live else tuple(step for step in STEPS if step.name in OF_FILES)
            for way in driven or [accelerator.kind]:
                yield from walked(Subject(accelerator, way, folder), steps if driven else STEPS[:1], ground)
        if not ground.is_live:
            return
        if compiling is not None and "openvino-cpu" in compiling.accelerators:
            yield from walked(Subject(None, "openvino-cpu", folder), STEPS[4:7], ground)
        yield from walked(Subject(None, "cpu", folder), STEPS[5:7], ground)


def _none(inventory: Inventory) -> str:
    fact = next((fact for fact in inventory.facts if fact.name == "accelerators"), None)
    if fact is None:
        return "none found"
    return fact.absence if fact.evidence else f"unknown: {fact.absence}"


def _found(subject: Subject, _ground: Ground) -> Verdict:
    found = _of(subject)
    shown = ", ".join(f"{one.path} = {one.value}" for one in found.evidence[:2])
    if subject.way not in DRIVEN_BY:
        return "warn", f"{found.name}; {shown}", f"edged drives no {found.kind} by itself: see docs/plug-ins.md"
    return "ok", f"{found.name}; {shown}", ""


def _driver(subject: Subject, _ground: Ground) -> Verdict:
    found = _of(subject)
    if not found.usable:
        return "fail", f"{found.state}: {found.reason}", found.reason.rpartition(": ")[2]
    return "ok", found.state, ""


def _permissions(subject: Subject, ground: Ground) -> Verdict:
    nodes = [ground.root / one.path for one in _of(subject).evidence if one.path.startswith("dev/")]
    nodes = [node for node in nodes if node.exists() and not node.is_dir()]
    closed = [node for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if closed:
        group = _group(closed[0])
        return (
            "fail",
            f"{closed[0]} may not be read and written by user {os.geteuid()}",
            f"sudo usermod -aG {group} edged",
        )
    if not nodes:
        return "skipped", "no device node is known for it", ""
    busy = [who for node in nodes for who in holders(str(node))]
    if busy and subject.way == OWN and ground.daemon.runs:
        subject.broken = "edged holds it"
        return "skipped", f"{busy[0]} holds {nodes[0]}", ""
    if busy and subject.way == OWN:
        return "fail", f"{busy[0]} holds {nodes[0]}", "sudo systemctl stop edged"
    return "ok", ", ".join(map(str, nodes)), ""


def _link(subject: Subject, _ground: Ground) -> Verdict:
    speed = _of(subject).speed_mbps
    if speed is None:
        return "skipped", "not on USB", ""
    if speed <= USB2_MBPS:
        return "warn", f"{speed} Mb/s", "plug it into a USB 3 port, with a USB 3 cable"
    return "ok", f"{speed} Mb/s", ""


def _runtime(subject: Subject, ground: Ground) -> Verdict:
    if subject.way == OWN:
        try:
            library = ground.config.engine[OWN].library if OWN in ground.config.engine else None
            return "ok", str(library or find_library()), ""
        except EdgedError as error:
            return "fail", str(error.args[0]), "sudo apt install libedgetpu1-std"
    compiling = ground.box.engines.compiling
    if compiling is None:
        return "skipped", "another machine's files say nothing of packages", ""
    lacking = compiling.lacking(subject.way)
    if lacking:
        python = compiling.settings(subject.way).python or sys.executable
        return "fail", lacking.partition("; ")[0], f"{python} -m pip install {PACKAGES[subject.way][0]}"
    return "ok", compiling.versions(subject.way), ""


def _canary(subject: Subject, ground: Ground) -> Verdict:
    made = canary_for(subject.way, ground, Path(subject.folder) / subject.way)
    if made is None:
        return "skipped", f"no installed bundle has a variant for {subject.way}", ""
    try:
        made.cache.mkdir(exist_ok=True)
        subject.canary = made.measured()
    except EdgedError as error:
        return "fail", str(error.args[0]), error.remedy
    figures = subject.canary.figures
    load = f"first answer after {figures.load_ms:.0f} ms"
    return (
        "ok",
        f"{made.name}: p50 {figures.p50_ms:.3g} ms, p99 {figures.p99_ms:.3g} ms of {figures.runs} calls, {load}",
        "",
    )


def _hang(subject: Subject, _ground: Ground) -> Verdict:
    if subject.canary is None:
        return "skipped", "no canary ran", ""
    try:
        ended_s, back_s = hang(subject.canary)
    except EdgedError as error:
        return "fail", f"after a call that hung: {error.args[0]}", error.remedy or "power the device off and on"
    return "ok", f"ended after {ended_s:.1f} s, and opened again within {back_s:.1f} s", ""


def _replug(subject: Subject, ground: Ground) -> Verdict:
    found, ask = _of(subject), ground.ask
    if found.bus != "usb":
        return "skipped", "it is built in", ""
    if ask is None:
        return "skipped", "nobody was asked to unplug it: edgectl doctor hardware --walk", ""
    for question, is_wanted, fault, remedy in (
        (f"unplug the {found.name}", False, "it is still on the bus", "unplug the right one, and run this again"),
        ("plug it in again", True, "it did not come back", "dmesg | tail -n 20"),
    ):
        if not ask(question):
            return "skipped", "as was wished", ""
        if not _becomes(found, ground, is_there=is_wanted):
            return "fail", fault, remedy
    return "ok", "gone when it was unplugged, and back", ""


def _becomes(found: Accelerator, ground: Ground, *, is_there: bool) -> bool:
    """Wait until it is on the bus, or is not; False when that does not happen in time."""
    until_s = time.monotonic() + PLUG_S
    while _is_there(found, ground) is not is_there:
        if time.monotonic() > until_s:
            return False
        time.sleep(LOOK_S)
    return True


def _is_there(found: Accelerator, ground: Ground) -> bool:
    seen = find_accelerators(ground.root, ground.box.inventory.compatible)
    return any((one.kind, one.bus) == (found.kind, found.bus) for one in seen)


def _of(subject: Subject) -> Accelerator:
    assert subject.found is not None  # noqa: S101 - checks of a device are run for devices alone
    return subject.found


def _group(node: Path) -> str:
    try:
        return grp.getgrgid(node.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "plugdev"


STEPS: tuple[Step, ...] = (
    Step("found", _found),
    Step("driver", _driver),
    Step("permissions", _permissions),
    Step("link", _link, stops=False),
    Step("runtime", _runtime),
    Step("canary", _canary),
    Step("hang", _hang, stops=False),
    Step("replug", _replug, stops=False),
)
"""In the order in which a fault of one explains the next."""
OF_FILES = frozenset({"found", "driver", "link"})
"""What can be told of another machine's files."""
