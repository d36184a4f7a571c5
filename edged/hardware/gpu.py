"""Graphics processors that run models: NVIDIA, integrated and on PCI, Intel and AMD."""

from __future__ import annotations

from edged.domain.device import Accelerator, AcceleratorKind, Evidence
from edged.hardware.board import DEVICE_TREES
from edged.hardware.pci import PciDevice
from edged.hardware.tree import Tree, shown

INTEL, AMD, NVIDIA = 0x8086, 0x1002, 0x10DE
DISPLAY_CLASS = 0x03
_DRIVERS = {"i915": INTEL, "xe": INTEL, "amdgpu": AMD, "radeon": AMD, "nvidia": NVIDIA, "nouveau": NVIDIA}
"""Drivers that only ever bind to graphics: they tell the class where a view of the bus lacks it."""
_COMPUTE_DRIVERS = {INTEL: ("i915", "xe"), AMD: ("amdgpu",)}
_NAMES: dict[int, tuple[AcceleratorKind, str]] = {INTEL: ("intel-gpu", "Intel GPU"), AMD: ("amd-gpu", "AMD GPU")}

TEGRA_COMPUTE = {
    "nvidia,tegra210": "5.3",
    "nvidia,tegra186": "6.2",
    "nvidia,tegra194": "7.2",
    "nvidia,tegra234": "8.7",
    "nvidia,tegra264": "11.0",
}
"""CUDA compute capability by chip (developer.nvidia.com/cuda-gpus)."""
_TEGRA_NODES = ("nvhost-gpu", "nvhost-ctrl-gpu", "nvgpu", "nvmap", "nvidia0", "nvidiactl")
_GPU_NAMES = {"gpu", "gm20b", "gp10b", "gv11b", "ga10b", "gb10b"}
_THOR_GPU = 0x2B00
"""Thor's own GPU is on its PCI bus too: it must not count twice."""
_GFX9_AND_LATER = (
    (0x13B0, 0x6000),
    (0x66A0, 0x66AF),
    (0x6860, 0x687F),
    (0x69A0, 0x69AF),
    (0x7310, 0x8FFF),
)
"""Below lies Kaveri, between them Southern Islands to Polaris, 0x730x is Fiji, above is Carrizo and older."""
_NVIDIA_VERSION = "proc/driver/nvidia/version"


def gpus(tree: Tree, devices: tuple[PciDevice, ...], compatible: tuple[str, ...]) -> list[Accelerator]:
    """Find every graphics processor that a runtime of edged could use."""
    found = []
    tegra = next((entry for entry in compatible if entry in TEGRA_COMPUTE), None)
    if tegra is not None:
        found.append(_tegra(tree, tegra))
    for device in devices:
        vendor = _graphics_vendor(device)
        if vendor == NVIDIA and not (tegra is not None and device.device == _THOR_GPU):
            found.append(_nvidia(tree, device))
        elif vendor in _NAMES:
            found.append(_render(tree, device))
    return found


def _graphics_vendor(device: PciDevice) -> int | None:
    """Give the vendor of a graphics device; bridges and sound functions of the same vendor are none."""
    if device.pci_class is not None:
        return device.vendor if device.pci_class >> 16 == DISPLAY_CLASS else None
    if device.is_drm:
        return device.vendor
    return device.vendor if _DRIVERS.get(device.driver or "") == device.vendor else None


def _tegra(tree: Tree, entry: str) -> Accelerator:
    folder = next((path for path in DEVICE_TREES if entry in (tree.raw(f"{path}/compatible") or "")), DEVICE_TREES[0])
    chip = entry.partition(",")[2].capitalize()
    name = f"NVIDIA integrated GPU ({chip}, compute capability {TEGRA_COMPUTE[entry]}, memory shared with the system)"
    shown_by = (shown(f"{folder}/compatible", entry), *_tegra_devfreq(tree))
    nodes = [f"dev/{node}" for node in _TEGRA_NODES if tree.exists(f"dev/{node}")]
    evidence = (*shown_by, *(Evidence(node, "present") for node in nodes[:2]))
    # Only a root with device nodes of other things, and no trace of NVIDIA's driver, shows that the driver is missing.
    if nodes or len(shown_by) > 1 or not tree.names("dev") or tree.exists("etc/nv_tegra_release"):
        return Accelerator("nvidia-gpu", "soc", usable=True, state="ready", reason="", name=name, evidence=evidence)
    reason = (
        "no /dev/nvhost-gpu, /dev/nvgpu or /dev/nvidia0 and no GPU under devfreq: install NVIDIA's Jetson Linux (L4T)"
    )
    state = "driver-missing"
    return Accelerator("nvidia-gpu", "soc", usable=False, state=state, reason=reason, name=name, evidence=evidence)


def _tegra_devfreq(tree: Tree) -> tuple[Evidence, ...]:
    """Find the GPU among the devfreq devices, where video coders and memory controllers stand too."""
    base = "sys/class/devfreq"
    for device in tree.names(base):
        path = f"{base}/{device}/device/of_node/name"
        if tree.text(path) in _GPU_NAMES:
            return (tree.evidence(path),)
        if device.rpartition(".")[2] in _GPU_NAMES or device.startswith("gpu-gpc"):
            return (Evidence(f"{base}/{device}", "present"),)
    return ()


def _nvidia(tree: Tree, device: PciDevice) -> Accelerator:
    name = f"NVIDIA GPU {device.place}"
    evidence = device.evidence
    if tree.exists(_NVIDIA_VERSION):
        evidence = (*evidence, tree.evidence(_NVIDIA_VERSION))
    elif device.driver != "nvidia":
        bound = f"the driver {device.driver} is bound" if device.driver else "no driver is bound"
        reason = f"{bound} and {_NVIDIA_VERSION} is absent: install NVIDIA's driver (module nvidia)"
        return _pci_gpu("nvidia-gpu", "driver-missing", reason, name, evidence, device)
    nodes = tree.matching("dev", r"nvidia\d+")
    if not any(tree.has_node(f"dev/{node}") for node in nodes):
        reason = "/dev/nvidia0 does not exist: run nvidia-modprobe, or give the container the GPU"
        return _pci_gpu("nvidia-gpu", "node-missing", reason, name, (*evidence, tree.evidence("dev/nvidia0")), device)
    return _pci_gpu("nvidia-gpu", "ready", "", name, (*evidence, Evidence(f"dev/{nodes[0]}", "present")), device)


def _render(tree: Tree, device: PciDevice) -> Accelerator:
    """Judge an Intel or AMD GPU: it computes through its driver's render node."""
    kind, maker = _NAMES[device.vendor]
    name = f"{maker} {device.place}"
    if device.vendor == INTEL and _before_gen8(device.device):
        reason = (
            "graphics older than Intel's Broadwell: no compute runtime (OpenVINO, Level Zero) drives it; use the CPU"
        )
        return _pci_gpu(kind, "unsupported", reason, name, device.evidence, device)
    if device.vendor == AMD and not _is_gfx9(device.device):
        reason = "graphics older than AMD's Vega: no ROCm or MIGraphX runtime drives it; use the CPU"
        return _pci_gpu(kind, "unsupported", reason, name, device.evidence, device)
    wanted = _COMPUTE_DRIVERS[device.vendor]
    # A card that the kernel lists under drm has a driver, whose name a captured tree may lack.
    if device.driver not in wanted and not (device.driver is None and device.is_drm):
        bound = f"the driver {device.driver} is bound" if device.driver else "no driver is bound"
        reason = f"{bound}: load {' or '.join(wanted)} (and its firmware package)"
        return _pci_gpu(kind, "driver-missing", reason, name, device.evidence, device)
    if not tree.exists("dev"):
        return _pci_gpu(
            kind, "ready", "there is no dev folder: its render node is not checked", name, device.evidence, device
        )
    node = _render_node(tree, device)
    if node is None:
        reason = "there is no /dev/dri/renderD* for it: give the service or container /dev/dri (group render)"
        return _pci_gpu(kind, "node-missing", reason, name, device.evidence, device)
    return _pci_gpu(kind, "ready", "", name, (*device.evidence, Evidence(node, "present")), device)


def _render_node(tree: Tree, device: PciDevice) -> str | None:
    """Find the render node: the one that sysfs ties to the device, else any that nothing else owns."""
    for name in tree.matching("dev/dri", r"renderD\d+"):
        owner = tree.link_name(f"sys/class/drm/{name}/device")
        if owner is None or device.address is None or owner == device.address:
            return f"dev/dri/{name}" if tree.has_node(f"dev/dri/{name}") else None
    return None


def _before_gen8(device: int) -> bool:
    """Tell Intel graphics before generation 8 by the ranges of include/drm/intel/pciids.h."""
    is_early = (device < 0x0B00 and device != 0x0A84) or 0x0C00 <= device < 0x1600  # noqa: PLR2004 - 0x0A84 is Apollo Lake, 0x0Bxx the Data Center GPU Max
    return is_early or 0x2500 <= device < 0x3000 or device in {0xA001, 0xA002, 0xA011, 0xA012}  # noqa: PLR2004 - ids


def _is_gfx9(device: int) -> bool:
    """Tell AMD graphics from Vega (GFX9) on by the ranges of drivers/gpu/drm/amd/amdgpu/amdgpu_drv.c."""
    return any(first <= device <= last for first, last in _GFX9_AND_LATER)


def _pci_gpu(
    kind: AcceleratorKind, state: str, reason: str, name: str, evidence: tuple[Evidence, ...], device: PciDevice
) -> Accelerator:
    return Accelerator(kind, "pci", state == "ready", state, reason, name, evidence, None, device.address)
