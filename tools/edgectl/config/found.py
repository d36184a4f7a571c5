"""What this box has that a configuration may name: cameras, serial ports, accelerators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgectl.camera.found import cameras
from edgectl.serial.ports import ports
from edged.hardware.inventory import find_accelerators, take_inventory
from edged.hardware.tree import Tree

CLASS = "sys/class/video4linux"
# Of another machine's files nobody can be asked. Decoders, encoders and image processors of boards have video nodes, too; the raw
# receivers of a Raspberry Pi need libcamera.
NO_CAMERA = re.compile(r"codec|isp|hevc|rpivid|vpu|-dec|-enc|unicam|rp1-cfe|m2m", re.IGNORECASE)
BY_ID = "dev/v4l/by-id"
"""Where a camera has a name that stays with it, whatever was plugged in first."""


@dataclass(frozen=True, slots=True)
class Device:
    """A node that a source can name, and what it calls itself."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """What there is. ``accelerators`` tells each with its state, for people."""

    board: str | None
    cameras: tuple[Device, ...]
    ports: tuple[Device, ...]
    accelerators: tuple[str, ...]


def look(root: Path) -> Found:
    """Look below ``root``, which is ``/`` or a captured tree."""
    tree = Tree(root)
    inventory = take_inventory(root)
    return Found(
        inventory.board,
        tuple(_asked() if tree.is_live else _read(tree)),
        tuple(Device(Path("/") / one.name.relative_to(root), one.product or one.node.name) for one in ports(root)),
        tuple(f"{one.name} ({one.state})" for one in find_accelerators(root, inventory.compatible)),
    )


def _asked() -> Iterator[Device]:
    """Ask this machine's nodes; those that need more than their name are left to ``edgectl camera``, which says what."""
    for one in cameras():
        if not one.note:
            yield Device(one.name, one.device.card if one.device else one.node.name)


def _read(tree: Tree) -> Iterator[Device]:
    """Read which nodes give pictures: a USB camera has one more for its metadata, with a higher index."""
    names = {real: link for name in tree.names(BY_ID) if (real := tree.resolve(link := f"{BY_ID}/{name}")) is not None}
    for node in tree.matching(CLASS, r"video\d+"):
        name = tree.text(f"{CLASS}/{node}/name") or node
        if tree.has_node(f"dev/{node}") and not tree.integer(f"{CLASS}/{node}/index") and not NO_CAMERA.search(name):
            yield Device(Path("/", names.get(f"dev/{node}", f"dev/{node}")), name)
