"""Neural processors: Hailo, Rockchip and Intel."""

from __future__ import annotations

import re

from edged.domain.device import Accelerator, AcceleratorKind, Evidence
from edged.hardware.board import DEVICE_TREES, soc_of
from edged.hardware.pci import PciDevice
from edged.hardware.tree import Tree, shown

HAILO = 0x1E60
_HAILO_NAMES = {0x2864: "Hailo-8 or Hailo-8L", 0x45C4: "Hailo-10H"}
"""8 and 8L share one ident (hailo-rpi5-examples issue 192); the firmware alone tells them apart."""

ROCKCHIP_CORES = {"RK3588": 3, "RK3588S": 3, "RK3582": 3, "RK3576": 2, "RK3568": 1, "RK3566": 1, "RK3562": 1}
"""NPU cores by chip; also the list of chips that have one which RKNN drives."""
_RKNPU = "sys/bus/platform/drivers/RKNPU"
_ROCKET = "sys/bus/platform/drivers/rocket"

INTEL = 0x8086
INTEL_NPUS = frozenset({0x7D1D, 0xAD1D, 0x643E, 0xB03E, 0xFD3E, 0xD71D})
"""drivers/accel/ivpu/ivpu_drv.h: Meteor, Arrow, Lunar, Panther, Wildcat and Nova Lake."""
ACCELERATOR_CLASS = 0x12


def hailos(tree: Tree, devices: tuple[PciDevice, ...]) -> list[Accelerator]:
    """Find Hailo cards; each needs a node of its own."""
    nodes = [f"dev/{name}" for name in tree.matching("dev", r"(hailo|h1x-)\d+") if tree.has_node(f"dev/{name}")]
    cards = [device for device in devices if device.vendor == HAILO and _is_endpoint(device)]
    return [_hailo(device, nodes[i] if i < len(nodes) else None, i) for i, device in enumerate(cards)]


def _is_endpoint(device: PciDevice) -> bool:
    return device.pci_class is None or device.pci_class >> 16 != 0x06  # noqa: PLR2004 - bridges


def _hailo(device: PciDevice, node: str | None, index: int) -> Accelerator:
    name = f"{_HAILO_NAMES.get(device.device, 'Hailo')} {device.place}"
    if node is not None and device.driver is not None:
        evidence = (*device.evidence, Evidence(node, "present"))
        return _on_pci("hailo", "ready", "", name, evidence, device)
    if device.driver is None:
        state = "driver-missing"
        reason = f"no driver is bound and there is no /dev/hailo{index}: install the hailo_pci module (package hailort-pcie-driver)"
    else:
        state = "node-missing"
        reason = (
            f"the driver {device.driver} is bound but /dev/hailo{index} does not exist: the firmware did not load "
            "(see the kernel log for hailo), or the container lacks the device"
        )
    evidence = (*device.evidence, Evidence(f"dev/hailo{index}", "absent"))
    return _on_pci("hailo", state, reason, name, evidence, device)


def rockchip_npus(tree: Tree, compatible: tuple[str, ...]) -> list[Accelerator]:
    """Find the NPU of a Rockchip chip: from the driver where it is bound, else from the chip's name."""
    bound = _rknpu_evidence(tree)
    _, soc = soc_of(compatible)
    cores = ROCKCHIP_CORES.get(soc or "")
    if cores is None and not bound:
        return []
    chip = soc or "Rockchip"
    name = f"{chip} NPU ({cores} core{'s' if cores != 1 else ''})" if cores else f"{chip} NPU"
    in_silicon = () if soc is None else _silicon(tree, compatible)
    address = next((item.path.rpartition("/")[2] for item in bound if item.path.endswith(".npu")), None)
    usable, state, reason, node = _rockchip_state(tree, chip, is_bound=bool(bound))
    evidence = (*in_silicon, *bound, *node)
    return [Accelerator("rockchip-npu", "soc", usable, state, reason, name, evidence, None, address)]


def _rockchip_state(tree: Tree, chip: str, *, is_bound: bool) -> tuple[bool, str, str, tuple[Evidence, ...]]:
    if not is_bound and tree.matching(_ROCKET, r"[0-9a-f]+\.npu"):
        reason = "the mainline driver rocket is bound; the RKNN runtime needs the vendor kernel's RKNPU driver"
        return False, "driver-missing", reason, (Evidence(_ROCKET, "present"),)
    if not is_bound:
        reason = (
            f"the {chip} has an NPU in silicon but this kernel has no driver for it: "
            "run the board maker's kernel, which has the RKNPU driver"
        )
        return False, "driver-missing", reason, (Evidence(_RKNPU, "absent"),)
    for name in ("dev/rknpu", *(f"dev/dri/{entry}" for entry in tree.matching("dev/dri", r"renderD\d+"))):
        if tree.has_node(name):
            return True, "ready", "", (Evidence(name, "present"),)
    reason = "the RKNPU driver is bound but neither /dev/dri/renderD* nor /dev/rknpu exists: give the service or container /dev/dri"
    return False, "node-missing", reason, (Evidence("dev/dri", "no render node"),)


def _rknpu_evidence(tree: Tree) -> tuple[Evidence, ...]:
    """Find traces of the vendor driver: its devices, its version, or its frequency control."""
    found = [Evidence(f"{_RKNPU}/{name}", "present") for name in tree.matching(_RKNPU, r"[0-9a-f]+\.npu")]
    versions = ("sys/kernel/debug/rknpu/version", "proc/rknpu/version")
    found += [tree.evidence(path) for path in versions if tree.text(path) is not None]
    for name in tree.matching("sys/class/devfreq", r"[0-9a-f]+\.npu"):
        path = f"sys/class/devfreq/{name}/governor"
        if tree.text(path) == "rknpu_ondemand":
            found.append(tree.evidence(path))
    return tuple(found)


def _silicon(tree: Tree, compatible: tuple[str, ...]) -> tuple[Evidence, ...]:
    entry, _ = soc_of(compatible)
    path = next((f"{path}/compatible" for path in DEVICE_TREES if tree.exists(f"{path}/compatible")), "")
    return (shown(path, entry),) if entry and path else ()


def intel_npus(tree: Tree, devices: tuple[PciDevice, ...]) -> list[Accelerator]:
    """Find the NPU of Intel Core Ultra processors."""
    return [_intel(tree, device) for device in devices if device.vendor == INTEL and _is_intel_npu(device)]


def _is_intel_npu(device: PciDevice) -> bool:
    known = device.device in INTEL_NPUS or device.driver == "intel_vpu"
    return known or (device.pci_class is not None and device.pci_class >> 16 == ACCELERATOR_CLASS)


def _intel(tree: Tree, device: PciDevice) -> Accelerator:
    name = f"Intel NPU {device.place}"
    if device.driver != "intel_vpu":
        bound = f"the driver {device.driver} is bound" if device.driver else "no driver is bound"
        reason = f"{bound}: load intel_vpu (kernel 6.6 or newer) with its firmware (package intel-fw-npu)"
        return _on_pci("intel-npu", "driver-missing", reason, name, device.evidence, device)
    node = _accel_node(tree, device)
    if node is None:
        reason = "there is no /dev/accel/accel* for it: the firmware did not load, or the container lacks the device"
        return _on_pci("intel-npu", "node-missing", reason, name, device.evidence, device)
    evidence = (*device.evidence, Evidence(node, "present"))
    return _on_pci("intel-npu", "ready", "", name, evidence, device)


def _accel_node(tree: Tree, device: PciDevice) -> str | None:
    for name in tree.matching("dev/accel", r"accel\d+"):
        owner = tree.link_name(f"sys/class/accel/{name}/device")
        mine = owner is None or device.address is None or owner == device.address
        if mine and tree.has_node(f"dev/accel/{name}"):
            return f"dev/accel/{name}"
    return None


def amd_npus(devices: tuple[PciDevice, ...]) -> tuple[PciDevice, ...]:
    """List AMD's neural processors, which no runtime of edged drives: they are worth a warning, not more."""
    return tuple(x for x in devices if x.vendor == 0x1022 and re.fullmatch(r"amdxdna", x.driver or ""))  # noqa: PLR2004 - AMD


def _on_pci(
    kind: AcceleratorKind, state: str, reason: str, name: str, evidence: tuple[Evidence, ...], device: PciDevice
) -> Accelerator:
    bus = "pcie" if kind == "hailo" else "pci"
    return Accelerator(kind, bus, state == "ready", state, reason, name, evidence, address=device.address)
