"""What the box feels right now: heat, voltage, memory, load, pressure. Absent is None, never zero."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edged.hardware.cgroup import limits
from edged.hardware.thermal import Temperature, temperatures, throttling, under_voltage
from edged.hardware.tree import Tree

MIB = 2**20
MEMINFO = "proc/meminfo"
_CPUFREQ = "sys/devices/system/cpu/cpufreq"


@dataclass(frozen=True, slots=True)
class Pressure:
    """Share of the last 10 s, in percent, in which some or all tasks waited; a kernel may give only one of the two."""

    some_avg10: float | None
    full_avg10: float | None


@dataclass(frozen=True, slots=True)
class Readings:
    """One round of readings. Memory is in MiB, frequencies are a share of the processor's maximum, load is percent."""

    temperatures: tuple[Temperature, ...]
    under_voltage: bool | None
    throttled: bool | None
    cpu_frequency_cap: float | None
    """The lowest ``scaling_max_freq`` as a share of ``cpuinfo_max_freq``: below 1 the processor is held back."""
    cpu_pressure: Pressure | None
    memory_pressure: Pressure | None
    io_pressure: Pressure | None
    memory_total_mb: int | None
    memory_available_mb: int | None
    cgroup_headroom_mb: int | None
    """How much this process's control groups still allow; None without a limit."""
    cgroup_limit_mb: int | None
    """The smallest of their limits."""
    swapped_in_mb: int | None
    """What was read back from swap since the machine started."""
    load_1m: float | None
    gpu_load_percent: float | None

    @property
    def hottest_c(self) -> float | None:
        """The highest temperature of processor or GPU."""
        return max((x.temp_c for x in self.temperatures if x.is_compute), default=None)

    @property
    def headroom_c(self) -> float | None:
        """Degrees to the nearest limit of processor or GPU; None where no limit is known."""
        bounds = [(x.soft_c if x.soft_c is not None else x.hard_c, x.temp_c) for x in self.temperatures if x.is_compute]
        return min((bound - temp_c for bound, temp_c in bounds if bound is not None), default=None)


def read(root: Path) -> Readings:
    """Take one round of readings below ``root``; plain files only, a few milliseconds."""
    tree = Tree(root)
    memory = meminfo(tree)
    allowed = limits(tree)
    headroom = allowed.memory_headroom_bytes
    limit = allowed.memory.memory_limit if allowed.memory else None
    return Readings(
        temperatures=temperatures(tree),
        under_voltage=under_voltage(tree)[0],
        throttled=throttling(tree)[0],
        cpu_frequency_cap=_frequency_cap(tree),
        cpu_pressure=_pressure(tree, "cpu"),
        memory_pressure=_pressure(tree, "memory"),
        io_pressure=_pressure(tree, "io"),
        memory_total_mb=_mib(memory.get("MemTotal")),
        memory_available_mb=_mib(_available_kib(memory)),
        cgroup_headroom_mb=None if headroom is None else headroom // MIB,
        cgroup_limit_mb=None if limit is None else limit // MIB,
        swapped_in_mb=_swapped_in(tree),
        load_1m=_load(tree),
        gpu_load_percent=_gpu_load(tree),
    )


def meminfo(tree: Tree) -> dict[str, int]:
    """Read /proc/meminfo: name to kibibytes."""
    found = re.findall(r"^(\w+(?:\(\w+\))?):[ \t]+(\d{1,15}) kB", tree.text(MEMINFO) or "", re.MULTILINE | re.ASCII)
    return {name: int(kib) for name, kib in found}


def _available_kib(memory: dict[str, int]) -> int | None:
    """Give MemAvailable, or what kernels before 3.14 leave to estimate it from (Documentation/filesystems/proc.rst)."""
    if "MemAvailable" in memory:
        return memory["MemAvailable"]
    if "MemFree" not in memory:
        return None
    return memory["MemFree"] + memory.get("Buffers", 0) + memory.get("Cached", 0)


def _mib(kib: int | None) -> int | None:
    return None if kib is None else kib // 1024


def _pressure(tree: Tree, resource: str) -> Pressure | None:
    """Read pressure stall information (Documentation/accounting/psi.rst)."""
    text = tree.text(f"proc/pressure/{resource}")
    if text is None:
        return None
    found = dict(re.findall(r"^(some|full) avg10=(\d{1,3}\.\d{1,4})\b", text, re.MULTILINE | re.ASCII))
    if not found:
        return None
    return Pressure(*(float(found[key]) if key in found else None for key in ("some", "full")))


def _swapped_in(tree: Tree) -> int | None:
    """Read how many pages came back from swap, of 4 KiB on every board that edged knows."""
    found = re.search(r"^pswpin (\d{1,15})$", tree.text("proc/vmstat") or "", re.MULTILINE | re.ASCII)
    return int(found[1]) * 4096 // MIB if found else None


def _load(tree: Tree) -> float | None:
    found = re.match(r"(\d{1,6}\.\d{1,4}) ", tree.text("proc/loadavg") or "", re.ASCII)
    return float(found[1]) if found else None


def _frequency_cap(tree: Tree) -> float | None:
    shares = []
    for policy in tree.matching(_CPUFREQ, r"policy\d+"):
        allowed = tree.integer(f"{_CPUFREQ}/{policy}/scaling_max_freq")
        maximum = tree.integer(f"{_CPUFREQ}/{policy}/cpuinfo_max_freq")
        if allowed is not None and maximum is not None and allowed > 0 and maximum > 0:
            shares.append(allowed / maximum)
    return min(shares, default=None)


def _gpu_load(tree: Tree) -> float | None:
    """Read how busy the GPU is: Tegra counts in thousandths (999 is 99.9 %), amdgpu in percent."""
    for path in ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load"):
        value = tree.integer(path)
        if value is not None and 0 <= value <= 1000:  # noqa: PLR2004 - thousandths
            return value / 10
    base = "sys/class/devfreq"
    for name in tree.matching(base, r"[0-9a-f]+\.(gpu|gm20b|gp10b|gv11b|ga10b)"):
        value = tree.integer(f"{base}/{name}/device/load")
        if value is not None and 0 <= value <= 1000:  # noqa: PLR2004 - thousandths
            return value / 10
    for card in tree.matching("sys/class/drm", r"card\d+"):
        value = tree.integer(f"sys/class/drm/{card}/device/gpu_busy_percent")
        if value is not None and 0 <= value <= 100:  # noqa: PLR2004 - percent
            return float(value)
    return None
