"""Take stock of a box, or of a captured tree of one, and write it down."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edged.domain.device import Accelerator, Cpu, Evidence, Fact, Finding, Inventory, Memory
from edged.hardware.accelerators import accelerators
from edged.hardware.board import identify
from edged.hardware.cgroup import Limits, limits
from edged.hardware.cpu import architecture, int8, online, read_cpuinfo
from edged.hardware.findings import accelerator_findings, platform_findings, state_findings
from edged.hardware.pci import pci_devices
from edged.hardware.places import looked, unread
from edged.hardware.readings import MEMINFO, MIB, meminfo
from edged.hardware.runtimes import InstalledRuntime, runtime_findings
from edged.hardware.tree import Tree

SCHEMA = "edged.hardware/1"
PLUGS = ("sys/bus/usb/devices", "sys/bus/pci/devices", "sys/class/apex", "dev", "dev/dri", "dev/accel")
"""Folders in which something comes or goes with each accelerator."""


def take_inventory(root: Path) -> Inventory:
    """Find everything below ``root``, which is ``/`` or a captured tree; never raises, whatever the tree holds."""
    tree = Tree(root)
    info = read_cpuinfo(tree)
    groups = limits(tree)
    devices = pci_devices(tree)
    identity = identify(tree, info)
    arch = architecture(tree, info)
    cpu, cpu_facts = _cpu(tree, groups)
    memory, memory_fact = _memory(tree, groups)
    facts = (*identity.facts, arch.fact, *cpu_facts, memory_fact, looked(tree))
    found = accelerators(tree, devices, identity.compatible)
    warnings = (
        *platform_findings(arch, info, cpu, memory, facts),
        *state_findings(tree, groups),
        *accelerator_findings(found, devices),
        *unread(tree),
    )
    return Inventory(identity.board, identity.soc, arch.name, identity.compatible, cpu, memory, found, warnings, facts)


def find_accelerators(root: Path, compatible: tuple[str, ...]) -> tuple[Accelerator, ...]:
    """Find again what can be plugged in and out, on a board that is known."""
    tree = Tree(root)
    return accelerators(tree, pci_devices(tree), compatible)


def plugs(root: Path) -> tuple[tuple[str, ...], ...]:
    """Give what is another one when something was plugged in or out; reads no file, and takes a hundredth of finding it."""
    tree = Tree(root)
    buses = tuple(f"dev/bus/usb/{name}" for name in tree.names("dev/bus/usb"))
    return tuple(tree.names(folder) for folder in (*PLUGS, *buses))


def to_document(
    inventory: Inventory,
    profile_name: str | None,
    runtimes: Sequence[InstalledRuntime],
    more: Iterable[Finding] = (),
) -> dict[str, Any]:
    """Write an inventory as the document ``edged.hardware/1`` (docs/reference/hardware.md); absent is None.

    ``more`` are warnings about what is installed for it.
    """
    return {
        "schema": SCHEMA,
        "board": inventory.board,
        "soc": inventory.soc,
        "arch": inventory.arch,
        "profile": profile_name,
        "compatible": list(inventory.compatible),
        "cpu": {"online": inventory.cpu.online, "allowed": inventory.cpu.allowed, "int8": list(inventory.cpu.int8)},
        "memory_mb": {"total": inventory.memory.total_mb, "limit": inventory.memory.limit_mb},
        "accelerators": [_accelerator(found) for found in inventory.accelerators],
        "warnings": [_finding(found) for found in (*inventory.warnings, *runtime_findings(runtimes), *more)],
        "runtimes": [_runtime(found) for found in runtimes],
        "evidence": {fact.name: _evidence(fact.evidence) for fact in inventory.facts if fact.evidence},
        "absent": _absent(inventory),
    }


def _cpu(tree: Tree, groups: Limits) -> tuple[Cpu, tuple[Fact, ...]]:
    info = read_cpuinfo(tree)
    count, online_fact = online(tree, info)
    found, int8_fact = int8(tree, info)
    allowed, allowed_fact = _allowed(tree, groups, count, online_fact)
    return Cpu(count, allowed, found), (online_fact, allowed_fact, int8_fact)


def _allowed(tree: Tree, groups: Limits, count: int | None, online_fact: Fact) -> tuple[float | None, Fact]:
    """Give the smallest of what is online, what control groups allow and, on the running box, the affinity."""
    candidates: list[tuple[float, tuple[Evidence, ...]]] = []
    if count is not None:
        candidates.append((float(count), online_fact.evidence))
    level = groups.cpu
    if level is not None and level.cpus is not None:
        candidates.append((level.cpus, (level.evidence["cpu"],)))
    if tree.is_live:
        affinity = len(os.sched_getaffinity(0))
        candidates.append((float(affinity), (Evidence("sched_getaffinity", str(affinity)),)))
    if not candidates:
        return None, Fact("cpu.allowed", (), "neither processors online nor a processor limit can be read")
    allowed, evidence = min(candidates, key=lambda candidate: candidate[0])
    return allowed, Fact("cpu.allowed", evidence)


def _memory(tree: Tree, groups: Limits) -> tuple[Memory, Fact]:
    total_kib = meminfo(tree).get("MemTotal")
    evidence: tuple[Evidence, ...] = ()
    if total_kib:
        evidence = (Evidence(MEMINFO, f"MemTotal: {total_kib} kB"),)
    level = groups.memory
    limit_mb = None
    if level is not None and level.memory_limit is not None:
        limit_mb = level.memory_limit // MIB
        evidence = (*evidence, level.evidence["memory"])
    total_mb = round(total_kib / 1024) if total_kib else None
    absence = "" if total_kib else tree.lack(MEMINFO) or f"{MEMINFO} tells no MemTotal"
    return Memory(total_mb, limit_mb), Fact("memory", evidence, absence)


def _absent(inventory: Inventory) -> dict[str, str]:
    # Where accelerators were looked for stands in the facts even when there are some: one that is plugged out leaves it true.
    kept = (fact for fact in inventory.facts if fact.name != "accelerators" or not inventory.accelerators)
    return {fact.name: fact.absence for fact in kept if fact.absence}


def _accelerator(found: Accelerator) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "bus": found.bus,
        "usable": found.usable,
        "state": found.state,
        "reason": found.reason,
        "speed_mbps": found.speed_mbps,
        "name": found.name,
        "address": found.address,
        "evidence": _evidence(found.evidence),
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {"code": found.code, "evidence": _evidence(found.evidence), "remedy": found.remedy}


def _runtime(found: InstalledRuntime) -> dict[str, Any]:
    return {
        "runtime": found.runtime,
        "distribution": found.distribution,
        "version": found.version,
        "degraded": found.degraded,
        "note": found.note,
    }


def _evidence(found: tuple[Evidence, ...]) -> list[dict[str, str]]:
    return [{"path": item.path, "value": item.value} for item in found]
