"""What is on the PCI bus, from whichever of the kernel's views a root has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edged.domain.device import Evidence
from edged.hardware.tree import Tree, shown

DEVICES = "sys/bus/pci/devices"
DRIVERS = "sys/bus/pci/drivers"
PROC = "proc/bus/pci/devices"
DRM = "sys/class/drm"
MAX_DEVICES = 1024

ADDRESS = r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"


@dataclass(frozen=True, slots=True)
class PciDevice:
    """One function of a PCI device. ``pci_class`` is the 24-bit class, None in views that lack it."""

    address: str | None
    vendor: int
    device: int
    pci_class: int | None
    driver: str | None
    evidence: tuple[Evidence, ...]
    is_drm: bool = False
    """Whether the kernel lists it as a graphics device."""

    @property
    def ident(self) -> str:
        """The usual ``vvvv:dddd``."""
        return f"{self.vendor:04x}:{self.device:04x}"

    @property
    def place(self) -> str:
        """Give the ident and the address, for people."""
        return f"{self.ident} at {self.address}" if self.address else self.ident


def pci_devices(tree: Tree) -> tuple[PciDevice, ...]:
    """List every function once: sysfs's list first, then drivers' folders, graphics cards and the old /proc list."""
    found: dict[str, PciDevice] = {}
    nameless: list[PciDevice] = []
    for view in (_from_sysfs, _from_drivers, _from_drm, _from_proc):
        for device in view(tree):
            if device.address is None:
                nameless.append(device)
            else:
                found.setdefault(device.address, device)
    return (*found.values(), *nameless)[:MAX_DEVICES]


def _from_sysfs(tree: Tree) -> Iterator[PciDevice]:
    for address in sorted(tree.matching(DEVICES, ADDRESS)):
        device = _read(tree, f"{DEVICES}/{address}", address)
        if device is not None:
            yield device


def _from_drivers(tree: Tree) -> Iterator[PciDevice]:
    for driver in tree.names(DRIVERS):
        for address in tree.matching(f"{DRIVERS}/{driver}", ADDRESS):
            device = _read(tree, f"{DRIVERS}/{driver}/{address}", address, driver)
            if device is not None:
                yield device


def _from_drm(tree: Tree) -> Iterator[PciDevice]:
    for card in tree.matching(DRM, r"card\d+"):
        folder = f"{DRM}/{card}/device"
        slot = re.search(rf"^PCI_SLOT_NAME=({ADDRESS})$", tree.text(f"{folder}/uevent") or "", re.MULTILINE)
        name = tree.link_name(folder) or ""
        address = slot[1] if slot else name if re.fullmatch(ADDRESS, name) else None
        device = _read(tree, folder, address, is_drm=True)
        if device is not None:
            yield device


def _from_proc(tree: Tree) -> Iterator[PciDevice]:
    """Read the old list: bus and function, ident, interrupt, 7 addresses, 7 sizes, driver (drivers/pci/proc.c).

    It has neither domain nor class: the driver's name is all that tells a graphics device.
    """
    for line in (tree.text(PROC) or "").splitlines()[:MAX_DEVICES]:
        fields = line.split()
        if len(fields) < 17 or not re.fullmatch(r"[0-9a-f]{4}", fields[0]):  # noqa: PLR2004 - the driver is number 18
            continue
        if not re.fullmatch(r"[0-9a-f]{8}", fields[1]):
            continue
        place = int(fields[0], 16)
        address = f"0000:{place >> 8:02x}:{(place >> 3) & 31:02x}.{place & 7}"
        driver = fields[17] if len(fields) > 17 else None  # noqa: PLR2004 - the driver is number 18
        evidence = shown(PROC, f"{fields[0]} {fields[1]} {driver or ''}")
        yield PciDevice(address, int(fields[1][:4], 16), int(fields[1][4:], 16), None, driver, (evidence,))


def _read(
    tree: Tree, folder: str, address: str | None, driver: str | None = None, *, is_drm: bool = False
) -> PciDevice | None:
    vendor, device = tree.hexadecimal(f"{folder}/vendor"), tree.hexadecimal(f"{folder}/device")
    if vendor is None or device is None:
        return None
    evidence = [tree.evidence(f"{folder}/vendor"), tree.evidence(f"{folder}/device")]
    pci_class = tree.hexadecimal(f"{folder}/class")
    if pci_class is not None:
        evidence.append(tree.evidence(f"{folder}/class"))
    bound = driver or _bound_driver(tree, folder)
    if bound is not None:
        evidence.append(shown(f"{folder}/driver", bound))
    return PciDevice(address, vendor, device, pci_class, bound, tuple(evidence), is_drm)


def _bound_driver(tree: Tree, folder: str) -> str | None:
    if tree.exists(f"{folder}/driver"):
        return tree.link_name(f"{folder}/driver")
    found = re.search(r"^DRIVER=([\w-]+)$", tree.text(f"{folder}/uevent") or "", re.MULTILINE | re.ASCII)
    return found[1] if found else None
