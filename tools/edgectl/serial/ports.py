"""The serial ports of this box: what is plugged in, under which names, who may open it, and who holds it."""

from __future__ import annotations

import grp
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgectl.holders import Holder, holders
from edged.hardware.tree import Tree

ROOT = Path("/")
CLASS = "sys/class/tty"
BY_ID = "dev/serial/by-id"
USB_LEVELS = 4
"""From a port up to its USB device: the interface, the device, and for adapters a port of their own between."""
NO_UART = "0"
"""PORT_UNKNOWN of the kernel's include/uapi/linux/serial_core.h: a name that is kept for a chip that is not there."""
NO_BAUD = re.compile(r"cdc_acm|g_serial|gadget|rfcomm|pty")
"""Drivers that send bytes in packets: whatever baud is asked for, the same bytes come."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port. ``name`` is the one that stays with it; ``usb`` is vendor:product; ``access`` is empty when this user may open it."""

    node: Path
    name: Path
    product: str
    usb: str
    driver: str
    access: str
    held: tuple[Holder, ...]

    @property
    def has_baud(self) -> bool:
        """Whether the baud counts for anything."""
        return not NO_BAUD.search(self.driver)

    def told(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "node": str(self.node),
            "name": str(self.name),
            "product": self.product,
            "usb": self.usb or None,
            "driver": self.driver or None,
            "has_baud": self.has_baud,
            "access": self.access,
            "held_by": [asdict(one) for one in self.held],
        }


def ports(root: Path = ROOT) -> tuple[Port, ...]:
    """List the ports that have hardware behind them, below ``root``."""
    tree = Tree(root)
    names = tree.matching(CLASS, r"tty[A-Z][A-Za-z]*\d+|rfcomm\d+")
    return tuple(_port(tree, root, name) for name in names if _is_real(tree, name))


def port_of(node: Path, root: Path = ROOT) -> Port:
    """Describe one port, also one that /sys knows nothing of."""
    node = node.absolute()
    real = node.resolve()
    tree = Tree(root)
    found = _port(tree, root, real.name)
    is_pty = real.parent == root / "dev" / "pts"
    driver = "pty" if is_pty else found.driver
    name = node if node != real or is_pty else found.name
    return Port(real, name, found.product, found.usb, driver, _access(real), holders(real))


def lasting(node: Path, root: Path = ROOT) -> Path:
    """Give the name that stays with an adapter when others are plugged in before it; the node's own where there is none."""
    links = (root / BY_ID / name for name in Tree(root).names(BY_ID))
    return next((link for link in links if link.resolve() == node.resolve()), node)


def _is_real(tree: Tree, name: str) -> bool:
    place = f"{CLASS}/{name}"
    return tree.resolve(f"{place}/device") is not None and tree.text(f"{place}/type") != NO_UART


def _port(tree: Tree, root: Path, name: str) -> Port:
    place = f"{CLASS}/{name}/device"
    driver = tree.link_name(f"{place}/driver") or ""
    product, usb = _usb(tree, place)
    node = root / "dev" / name
    return Port(node, lasting(node, root), product, usb, driver, _access(node), holders(node))


def _usb(tree: Tree, place: str) -> tuple[str, str]:
    """Give product and vendor:product of the USB device that a port hangs on; both empty when it hangs on none."""
    for level in range(1, USB_LEVELS + 1):
        above = place + "/.." * level
        vendor = tree.text(f"{above}/idVendor")
        if vendor:
            words = filter(None, (tree.text(f"{above}/manufacturer"), tree.text(f"{above}/product")))
            return " ".join(words), f"{vendor}:{tree.text(f'{above}/idProduct')}"
    return "", ""


def _access(node: Path) -> str:
    """Say what this user lacks to open a node; empty when it is nothing."""
    if os.access(node, os.R_OK | os.W_OK):
        return ""
    try:
        group = grp.getgrgid(node.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "no such device"
    return f"no permission: sudo usermod -aG {group} {os.environ.get('USER', 'USER')}, and log in again"
