"""Everything on the box that could run a model, usable or not, each with what showed it."""

from __future__ import annotations

from edged.domain.device import Accelerator
from edged.hardware.edgetpu import pcie_cards, usb_sticks
from edged.hardware.gpu import gpus
from edged.hardware.npu import hailos, intel_npus, rockchip_npus
from edged.hardware.pci import PciDevice
from edged.hardware.tree import Tree


def accelerators(tree: Tree, devices: tuple[PciDevice, ...], compatible: tuple[str, ...]) -> tuple[Accelerator, ...]:
    """Find accelerators by bus ident, driver and node; nothing is opened and no vendor's library is loaded."""
    return (
        *usb_sticks(tree),
        *pcie_cards(tree, devices),
        *hailos(tree, devices),
        *rockchip_npus(tree, compatible),
        *intel_npus(tree, devices),
        *gpus(tree, devices, compatible),
    )
