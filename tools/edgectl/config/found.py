"""What this box has that a configuration may name: cameras, serial ports, accelerators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgectl.camera import found
from edgectl.serial.ports import ports
from edged.hardware.inventory import find_accelerators, take_inventory
from edged.hardware.tree import Tree


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
    seen = found.cameras() if tree.is_live else found.unasked(tree)
    return Found(
        inventory.board,
        tuple(Device(one.name, one.words) for one in seen if not one.note),
        tuple(Device(Path("/") / one.name.relative_to(root), one.product or one.node.name) for one in ports(root)),
        tuple(f"{one.name} ({one.state})" for one in find_accelerators(root, inventory.compatible)),
    )
