"""What is wrong or worth knowing about a box: a stable code, what showed it, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from edged.domain.device import Accelerator, Cpu, Fact, Finding, Memory
from edged.hardware.cgroup import Limits
from edged.hardware.cpu import SUPPORTED, Architecture, CpuInfo
from edged.hardware.edgetpu import USB2_MBPS
from edged.hardware.npu import amd_npus
from edged.hardware.pci import PciDevice
from edged.hardware.thermal import Temperature, temperatures, throttling, under_voltage
from edged.hardware.tree import Tree

LOW_MEMORY_MB = 512
"""One 720p camera with one LiteRT model takes about 120 MB, an operating system about 200."""
HOT_C = 85.0
"""Where no trip point is known: the Raspberry Pi's firmware throttles fully at 85 degrees, others later."""

LOWEST_ALARM_C, HOTTEST_ALARM_C = 70.0, 95.0


def platform_findings(
    arch: Architecture, info: CpuInfo | None, cpu: Cpu, memory: Memory, facts: tuple[Fact, ...]
) -> Iterator[Finding]:
    """Judge architecture, instruction sets and memory."""
    if arch.name is not None and arch.name not in SUPPORTED:
        remedy = f"LiteRT and ONNX Runtime have no wheels for {arch.name}: install a 64-bit x86 or Arm system (arm64)"
        yield Finding("unsupported-arch", arch.fact.evidence, remedy)
    if arch.userland_32 is not None:
        remedy = "the kernel is 64-bit but the programs are 32-bit: install the 64-bit image of the operating system"
        yield Finding("32-bit-userland", (arch.userland_32,), remedy)
    evidence = next(fact.evidence for fact in facts if fact.name == "cpu.int8")
    # Without evidence it is unknown which instructions there are.
    if arch.name in SUPPORTED and arch.userland_32 is None and info is not None and evidence and not cpu.int8:
        yield Finding("no-vector-int8", evidence, _int8_remedy(arch.name or "", info))
    effective = min((x for x in (memory.total_mb, memory.limit_mb) if x is not None), default=None)
    if effective is not None and effective < LOW_MEMORY_MB:
        evidence = next(fact.evidence for fact in facts if fact.name == "memory")
        yield Finding("low-memory", evidence, f"{effective} MiB: run one small model, or raise the limit")


def _int8_remedy(arch: str, info: CpuInfo) -> str:
    if arch == "aarch64":
        return "the processor has no int8 dot product: int8 models run, at less than half the speed; prefer small ones"
    if info.features is not None and "avx" not in info.features:
        return "the processor has no AVX: current runtimes are slow on it and may refuse to start; test with `edgectl bench`"
    return "the processor has no AVX2: int8 models run slowly; prefer small ones"


def state_findings(tree: Tree, groups: Limits) -> Iterator[Finding]:
    """Judge power, heat and what the kernel has already had to do."""
    low, evidence = under_voltage(tree)
    if low:
        yield Finding(
            "under-voltage", evidence, "use the board's own power supply and a short cable; unplug bus-powered devices"
        )
    slowed, evidence = throttling(tree)
    if slowed:
        yield Finding(
            "throttled", evidence, "the kernel holds the processor back for heat or power: improve the cooling"
        )
    for sensor in temperatures(tree):
        if sensor.is_compute and sensor.temp_c >= _bound_c(sensor):
            kind = sensor.path.rpartition("/")[0] + ("/type" if sensor.path.endswith("/temp") else "/name")
            evidence = (tree.evidence(sensor.path), *([tree.evidence(kind)] if tree.exists(kind) else []))
            yield Finding(
                "temperature-high", evidence, f"{sensor.sensor} is at {sensor.temp_c:.0f} °C: improve the cooling"
            )
    killed = groups.oom_kills
    if killed is not None:
        remedy = "the kernel killed a process of this group for memory: raise its limit or choose smaller models"
        yield Finding("oom-kill", (killed.evidence["oom"],), remedy)


def _bound_c(sensor: Temperature) -> float:
    """Give where to warn: at the soft limit, else ten degrees below the hard one.

    A soft limit far below any harm is the maker's fan curve, and a hard one can be above what the firmware tolerates.
    """
    if sensor.soft_c is not None:
        return max(sensor.soft_c, LOWEST_ALARM_C)
    return HOT_C if sensor.hard_c is None else min(sensor.hard_c - 10, HOTTEST_ALARM_C)


def accelerator_findings(found: tuple[Accelerator, ...], devices: tuple[PciDevice, ...]) -> Iterator[Finding]:
    """Judge links, and name hardware that no runtime of edged drives."""
    for accelerator in found:
        speed = accelerator.speed_mbps
        if accelerator.kind == "edgetpu" and speed is not None and speed <= USB2_MBPS:
            evidence = tuple(x for x in accelerator.evidence if x.path.endswith("/speed"))
            remedy = "the Coral stick runs at USB 2 speed, which takes 70 ms instead of 10 ms a picture: use a USB 3 port and cable"
            yield Finding("usb2-link", evidence, remedy)
    for device in amd_npus(devices):
        yield Finding(
            "unsupported-accelerator",
            device.evidence,
            "edged has no runtime for AMD's NPU (amdxdna): use the GPU or CPU",
        )
