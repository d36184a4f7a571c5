"""Coral Edge TPUs on USB and PCIe."""

from __future__ import annotations

import re

from edged.domain.device import Accelerator, Evidence
from edged.hardware.pci import ADDRESS, PciDevice
from edged.hardware.tree import Tree

USB = "sys/bus/usb/devices"
APEX = "sys/class/apex"
BOOTLOADER = (0x1A6E, 0x089A)
RUNNING = (0x18D1, 0x9302)
"""A stick's identity before and after the runtime has loaded its firmware (libedgetpu, driver/usb/usb_driver.cc)."""
PCIE = (0x1AC1, 0x089A)
"""gasket-driver, src/apex_driver.c."""
USB2_MBPS = 480
_INSTALL = "install the gasket-dkms package built for this kernel and load it (modprobe apex)"
_ALIVE = "ALIVE"


def usb_sticks(tree: Tree) -> list[Accelerator]:
    """Find Coral USB accelerators in either of their identities; they have no string descriptors to go by."""
    found = []
    for name in tree.matching(USB, r"\d+-\d+(\.\d+)*"):
        folder = f"{USB}/{name}"
        ident = (tree.hexadecimal(f"{folder}/idVendor"), tree.hexadecimal(f"{folder}/idProduct"))
        if ident in {BOOTLOADER, RUNNING}:
            found.append(_stick(tree, folder, name, is_running=ident == RUNNING))
    return found


def _stick(tree: Tree, folder: str, name: str, *, is_running: bool) -> Accelerator:
    evidence = [tree.evidence(f"{folder}/idVendor"), tree.evidence(f"{folder}/idProduct")]
    speed = tree.integer(f"{folder}/speed")
    if speed is not None:
        evidence.append(tree.evidence(f"{folder}/speed"))
    state = "ready" if is_running else "waiting-for-firmware"
    reason = "" if is_running else "the runtime loads the firmware at first use; the stick then comes back as 18d1:9302"
    usable = True
    node = _usb_node(tree, folder)
    if node is not None:
        evidence.append(tree.evidence(node))
        if not tree.has_node(node):
            usable, state = False, "node-missing"
            reason = f"/{node} does not exist: give the service or container access to /dev/bus/usb"
    if usable and speed is not None and speed <= USB2_MBPS:
        reason = "; ".join(filter(None, [reason, f"the link runs at {speed} Mb/s only: plug it into a USB 3 port"]))
    return Accelerator(
        "edgetpu",
        "usb",
        usable,
        state,
        reason,
        "Coral USB Accelerator",
        tuple(evidence),
        speed_mbps=speed,
        address=name,
    )


def _usb_node(tree: Tree, folder: str) -> str | None:
    """Give the stick's device node; None where bus and device number are not known."""
    bus, device = tree.integer(f"{folder}/busnum"), tree.integer(f"{folder}/devnum")
    if bus is None or device is None or bus < 0 or device < 0:
        return None
    return f"dev/bus/usb/{bus:03d}/{device:03d}"


def pcie_cards(tree: Tree, devices: tuple[PciDevice, ...]) -> list[Accelerator]:
    """Find Coral PCIe and M.2 cards; the dual card is two functions of its own.

    The class is no help (0x0000ff or 0x088000), nor is the domain (0001 on the Coral Dev Board).
    """
    by_address = {_apex_address(tree, name) or name: name for name in tree.matching(APEX, r"apex_\d+")}
    nameless = [name for address, name in by_address.items() if address == name]
    found = []
    for device in devices:
        if (device.vendor, device.device) == PCIE:
            name = by_address.pop(device.address or "", None)
            if name is None and nameless and device.driver == "apex":
                name = by_address.pop(nameless.pop(0))  # the driver numbers its cards in the order of the bus
            found.append(_without_class(tree, device) if name is None else _apex(tree, name, device))
    return found + [_apex(tree, name, None) for name in by_address.values()]


def _apex_address(tree: Tree, name: str) -> str | None:
    """Give the PCI address of a class entry: from its file, or from where it lies below the device."""
    listed = tree.text(f"{APEX}/{name}/pci_address")
    if listed is not None:
        return listed
    places = (tree.resolve(f"{APEX}/{name}/device") or "", tree.resolve(f"{APEX}/{name}") or "")
    addresses = re.findall(ADDRESS, "/".join(places))
    return addresses[-1] if addresses else None


def _apex(tree: Tree, name: str, device: PciDevice | None) -> Accelerator:
    """Judge a card that the driver knows: libedgetpu needs both the class entry and the node."""
    node, status_path = f"dev/{name}", f"{APEX}/{name}/status"
    evidence = (*(device.evidence if device else ()), Evidence(f"{APEX}/{name}", "present"), tree.evidence(node))
    status = tree.text(status_path)
    if not tree.has_node(node):
        reason = f"/{node} does not exist: check the udev rule for apex, or give the container the device"
        usable, state = False, "node-missing"
    elif status is not None and status != _ALIVE:
        evidence = (*evidence, tree.evidence(status_path))
        reason = f"the driver reports {status}: reset it by a power cycle, and see the kernel log for apex"
        usable, state = False, "failed"
    else:
        usable = True
        state, reason = _ownership(tree, name)
        if state == "busy":
            evidence = (*evidence, tree.evidence(f"{APEX}/{name}/device_owner"))
    return _card(f"Coral PCIe Edge TPU ({name})", state, reason, evidence, device, usable=usable)


def _ownership(tree: Tree, name: str) -> tuple[str, str]:
    """Tell whether a process holds the card, without opening it.

    It stays usable: the holder may be this daemon's own child.
    """
    if tree.integer(f"{APEX}/{name}/is_device_owned") != 1:
        return "ready", ""
    owner = tree.integer(f"{APEX}/{name}/device_owner")
    who = f"process {owner}" if owner else "a process"
    return "busy", f"{who} holds it: stop that process if it is not edged's own"


def _without_class(tree: Tree, device: PciDevice) -> Accelerator:
    modules = {line.split(" ", 1)[0] for line in (tree.text("proc/modules") or "").splitlines()}
    evidence = device.evidence
    if device.driver == "apex":
        state, reason = (
            "node-missing",
            f"the apex driver is bound but made no {APEX} entry: see the kernel log for apex",
        )
    elif device.driver is not None:
        state, reason = (
            "driver-missing",
            f"the driver {device.driver} is bound instead of apex: unbind it, then {_INSTALL}",
        )
    elif "apex" in modules:
        evidence = (*evidence, Evidence("proc/modules", "apex"))
        state, reason = (
            "driver-missing",
            (
                "the apex module is loaded but is not bound to the card and /dev/apex_0 does not exist: see the kernel log "
                "(a failed reset says 'RAM did not enable within timeout'), power the box off and on, reinstall gasket-dkms"
            ),
        )
    else:
        state, reason = "driver-missing", f"no driver is bound and there is no /dev/apex_0: {_INSTALL}"
    name = "Coral PCIe Edge TPU"
    return _card(name, state, reason, evidence, device, usable=False)


def _card(
    name: str, state: str, reason: str, evidence: tuple[Evidence, ...], device: PciDevice | None, *, usable: bool
) -> Accelerator:
    address = device.address if device else None
    return Accelerator("edgetpu", "pcie", usable, state, reason, name, evidence, address=address)
