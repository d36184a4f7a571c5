"""What a box is made of, each finding with the path and value that showed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AcceleratorKind = Literal["edgetpu", "nvidia-gpu", "hailo", "rockchip-npu", "intel-gpu", "intel-npu", "amd-gpu"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file that was read, relative to the system root, and what it said."""

    path: str
    value: str


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Something that could run a model. ``reason`` says why it is not usable, or what to know when it is.

    ``state`` is a short word: ``ready``, ``waiting-for-firmware``, ``driver-missing``, ``node-missing``, ``busy``, …
    ``speed_mbps`` is the link's speed for USB, otherwise None; ``name`` is for people.
    """

    kind: AcceleratorKind
    bus: str
    usable: bool
    state: str
    reason: str
    name: str
    evidence: tuple[Evidence, ...]
    speed_mbps: int | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A warning about the box: a stable code, what showed it, and what to do."""

    code: str
    evidence: tuple[Evidence, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Fact:
    """What showed one value of the inventory (``board``, ``cpu.online``, …), and why it is unknown, or unknown in part.

    Of ``accelerators``: what was looked at, and what to say where that showed none.
    """

    name: str
    evidence: tuple[Evidence, ...]
    absence: str = ""


@dataclass(frozen=True, slots=True)
class Cpu:
    """``online`` processors, the share of them that cgroups and affinity allow, and int8 instruction sets."""

    online: int | None
    allowed: float | None
    int8: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """``total_mb`` of the machine and the smallest cgroup limit on the way up, in MiB; None is unknown or none."""

    total_mb: int | None
    limit_mb: int | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything found on one box. None means that nothing showed it, never zero."""

    board: str | None
    soc: str | None
    arch: str | None
    compatible: tuple[str, ...]
    cpu: Cpu
    memory: Memory
    accelerators: tuple[Accelerator, ...]
    warnings: tuple[Finding, ...]
    facts: tuple[Fact, ...] = ()

    def usable(self, kind: str) -> bool:
        """Whether an accelerator of this kind can run models now."""
        return any(a.kind == kind and a.usable for a in self.accelerators)
