"""Temperatures with their limits, and the signs that the box slows itself down.

Zones go by their type and never by their number, which differs from kernel to kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edged.domain.device import Evidence
from edged.hardware.tree import Tree

ZONES = "sys/class/thermal"
HWMON = "sys/class/hwmon"
MIN_C, MAX_C = -40.0, 150.0
"""What silicon can show; -256 or -273.15 is a rail that is off, and 65261.85 is "no limit" of nvme."""

_COMPUTE = re.compile(
    r"(cpu|gpu|soc|tj\b|tj-|npu|(big|little|mid)?core|cluster|x86_pkg|tcpu|bcm2\d+_thermal|k10temp|zenpower|amdgpu)",
    re.IGNORECASE,
)
_IGNORED = re.compile(r"pmic-die", re.IGNORECASE)
"""A constant 100 degrees on every Jetson with this zone (jetson_stats, temperature.py, skips it too)."""
_HWMON_COMPUTE = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal", "amdgpu", "radeon"})
_SLOWING = re.compile(r"processor|(thermal-)?(cpu|dev)freq.*|(cpu|gpu)[-_].*|intel_powerclamp", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Temperature:
    """One sensor in degrees Celsius; ``soft_c`` is where the kernel begins to slow, ``hard_c`` where it stops the box."""

    sensor: str
    temp_c: float
    soft_c: float | None
    hard_c: float | None
    is_compute: bool
    """Whether it is the processor's or the accelerator's own: an Ethernet or disk sensor says nothing about them."""
    path: str


def temperatures(tree: Tree) -> tuple[Temperature, ...]:
    """Read every zone and every processor's hwmon sensor that has a believable value."""
    return (*_zones(tree), *_hwmon(tree), *_apex(tree))


def throttling(tree: Tree) -> tuple[bool | None, tuple[Evidence, ...]]:
    """Tell whether a cooling device holds the processor or GPU back; None where there is none."""
    slowing = []
    seen = False
    for name in tree.matching(ZONES, r"cooling_device\d+"):
        folder = f"{ZONES}/{name}"
        kind, state = tree.text(f"{folder}/type"), tree.integer(f"{folder}/cur_state")
        if kind is None or state is None or not _SLOWING.fullmatch(kind):
            continue  # a fan at work is no throttling
        seen = True
        if state > 0:  # powerclamp writes -1 for "off"
            slowing += [tree.evidence(f"{folder}/type"), tree.evidence(f"{folder}/cur_state")]
    return (bool(slowing) if seen else None), tuple(slowing)


def under_voltage(tree: Tree) -> tuple[bool | None, tuple[Evidence, ...]]:
    """Read the Raspberry Pi's under-voltage alarm; None on other boards.

    The firmware's own ``get_throttled`` file is left alone: reading it prints a kernel warning (raspberrypi/linux 2706).
    """
    for folder in _hwmon_folders(tree):
        if tree.text(f"{folder}/name") == "rpi_volt":
            alarm = tree.integer(f"{folder}/in0_lcrit_alarm")
            if alarm is not None:
                return alarm == 1, (tree.evidence(f"{folder}/in0_lcrit_alarm"),)
    return None, ()


def _zones(tree: Tree) -> Iterator[Temperature]:
    for name in tree.matching(ZONES, r"thermal_zone\d+"):
        folder = f"{ZONES}/{name}"
        kind = tree.text(f"{folder}/type")
        temp_c = _celsius(tree, f"{folder}/temp")
        if kind is None or temp_c is None or _IGNORED.fullmatch(kind):
            continue
        soft_c, hard_c = _trips(tree, folder)
        sensor = "".join(kind.splitlines())[:64]
        yield Temperature(sensor, temp_c, soft_c, hard_c, bool(_COMPUTE.match(kind)), f"{folder}/temp")


def _trips(tree: Tree, folder: str) -> tuple[float | None, float | None]:
    """Give the lowest passive (or hot) trip and the lowest critical one (Documentation/driver-api/thermal/sysfs-api.rst)."""
    soft: list[float] = []
    hard: list[float] = []
    for name in tree.matching(folder, r"trip_point_\d+_type"):
        kind = tree.text(f"{folder}/{name}")
        temp_c = _celsius(tree, f"{folder}/{name[: -len('_type')]}_temp")
        if temp_c is None or temp_c <= 0:
            continue
        if kind in {"passive", "hot"}:
            soft.append(temp_c)
        elif kind == "critical":
            hard.append(temp_c)
    return min(soft, default=None), min(hard, default=None)


def _hwmon(tree: Tree) -> Iterator[Temperature]:
    for folder in _hwmon_folders(tree):
        chip = tree.text(f"{folder}/name")
        # A chip that hangs from a graphics card needs no name file to be known as its sensor.
        compute = chip in _HWMON_COMPUTE or (chip is None and "/drm/" in folder)
        for file in tree.matching(folder, r"temp\d+_input"):
            stem = file[: -len("_input")]
            temp_c = _celsius(tree, f"{folder}/{file}")
            if temp_c is None:
                continue
            label = tree.text(f"{folder}/{stem}_label") or stem
            soft_c, hard_c = (_limit(tree, f"{folder}/{stem}_{limit}") for limit in ("max", "crit"))
            yield Temperature(f"{chip or 'gpu'} {label}"[:64], temp_c, soft_c, hard_c, compute, f"{folder}/{file}")


def _apex(tree: Tree) -> Iterator[Temperature]:
    """Read Coral PCIe cards; the in-tree driver has no such files."""
    base = "sys/class/apex"
    for name in tree.matching(base, r"apex_\d+"):
        temp_c = _celsius(tree, f"{base}/{name}/temp")
        if temp_c is not None:
            # At each trip point the driver halves the clock; hw_temp_warn2 switches the card off (apex_driver.c).
            soft_c, hard_c = (_limit(tree, f"{base}/{name}/{file}") for file in ("trip_point0_temp", "hw_temp_warn2"))
            yield Temperature(name, temp_c, soft_c, hard_c, is_compute=True, path=f"{base}/{name}/temp")


def _hwmon_folders(tree: Tree) -> list[str]:
    folders = [f"{HWMON}/{name}" for name in tree.matching(HWMON, r"hwmon\d+")]
    known = {tree.resolve(folder) for folder in folders}
    for card in tree.matching("sys/class/drm", r"card\d+"):
        base = f"sys/class/drm/{card}/device/hwmon"
        folders += [f"{base}/{n}" for n in tree.matching(base, r"hwmon\d+") if tree.resolve(f"{base}/{n}") not in known]
    return folders


def _limit(tree: Tree, path: str) -> float | None:
    value = _celsius(tree, path)
    return value if value is not None and value > 0 else None


def _celsius(tree: Tree, path: str) -> float | None:
    """Read millidegrees; None for what no silicon can show."""
    value = tree.integer(path)
    return value / 1000 if value is not None and MIN_C <= value / 1000 <= MAX_C else None
