"""What the control groups above this process allow: the smallest limit on the whole way up counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from edged.domain.device import Evidence
from edged.hardware.cpu import count_cpu_list
from edged.hardware.tree import Tree, as_integer, shown

SELF = "proc/self/cgroup"
BASE = "sys/fs/cgroup"
MAX_DEPTH = 64
NO_LIMIT_V1 = 2**62
"""v1 writes "no limit" as 2**63 - 1 rounded down to a page; nothing real comes near a quarter of it."""


@dataclass(frozen=True, slots=True)
class Level:
    """One folder on the way up; None is no limit or not readable."""

    folder: str
    memory_limit: int | None = None
    memory_high: int | None = None
    memory_used: int | None = None
    cpus: float | None = None
    oom_kills: int | None = None
    evidence: dict[str, Evidence] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """The levels of all hierarchies. Bytes and processors."""

    levels: tuple[Level, ...]

    @property
    def memory(self) -> Level | None:
        """The level with the smallest memory limit."""
        return min((x for x in self.levels if x.memory_limit), key=lambda x: x.memory_limit or 0, default=None)

    @property
    def cpu(self) -> Level | None:
        """The level with the smallest share of processors."""
        return min((x for x in self.levels if x.cpus), key=lambda x: x.cpus or math.inf, default=None)

    @property
    def memory_headroom_bytes(self) -> int | None:
        """How much is left below the nearest limit, hard or soft; None without a limit."""
        free = [
            bound - level.memory_used
            for level in self.levels
            if level.memory_used is not None
            for bound in (level.memory_limit, level.memory_high)
            if bound
        ]
        return max(0, min(free)) if free else None

    @property
    def oom_kills(self) -> Level | None:
        """The level that counted the most processes killed for memory."""
        return max((x for x in self.levels if x.oom_kills), key=lambda x: x.oom_kills or 0, default=None)


def limits(tree: Tree) -> Limits:
    """Read every level from this process's group up to the root, in v2 and in the v1 controllers."""
    paths = _own_paths(tree)
    unified = paths.get("", "/")
    levels = [_level_v2(tree, folder) for base in (BASE, f"{BASE}/unified") for folder in _way_up(tree, base, unified)]
    for controller, read in (("memory", _memory_v1), ("cpu", _cpu_v1), ("cpuset", _cpuset_v1)):
        path = paths.get(controller, "/")
        for base in _bases_v1(tree, controller):
            levels += [read(tree, folder) for folder in _way_up(tree, base, path)]
    return Limits(tuple(levels))


def _own_paths(tree: Tree) -> dict[str, str]:
    """Read /proc/self/cgroup: controller to path; the unified hierarchy of v2 has an empty name."""
    paths: dict[str, str] = {}
    for line in (tree.text(SELF) or "").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:  # noqa: PLR2004 - hierarchy number, controllers, path (cgroups(7))
            for controller in parts[1].split(","):
                paths.setdefault(controller, parts[2])
    return paths


def _bases_v1(tree: Tree, controller: str) -> tuple[str, ...]:
    """Find where a v1 controller is mounted; several may share a folder, as in ``cpu,cpuacct``."""
    found = {}
    for name in tree.names(BASE):
        if controller in name.split(","):
            found[tree.resolve(f"{BASE}/{name}")] = f"{BASE}/{name}"  # ``cpu`` is often a link to ``cpu,cpuacct``
    return tuple(found.values())


def _way_up(tree: Tree, base: str, path: str) -> Iterator[str]:
    """Give the folders from the group up to the base, without ever leaving the base.

    Outside its namespace a group's path begins with ``/../..`` (cgroup_namespaces(7)): those parts are dropped, and a
    group of that name one folder further down counts as ours when it is the only one.
    """
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}][:MAX_DEPTH]
    if "/.." in path and parts and not tree.exists("/".join([base, *parts])):
        above = [name for name in tree.names(base) if tree.exists("/".join([base, name, *parts]))]
        parts = [*above, *parts] if len(above) == 1 else parts
    for depth in range(len(parts), -1, -1):
        folder = "/".join([base, *parts[:depth]])
        if tree.exists(folder):
            yield folder


def _level_v2(tree: Tree, folder: str) -> Level:
    """Read one folder (Documentation/admin-guide/cgroup-v2.rst)."""
    evidence = {}
    cpus = None
    quota, _, period = (tree.text(f"{folder}/cpu.max") or "").partition(" ")
    if (as_integer(quota) or 0) > 0 and (as_integer(period) or 0) > 0:
        cpus = int(quota) / int(period)
        evidence["cpu"] = tree.evidence(f"{folder}/cpu.max")
    listed = count_cpu_list(tree.text(f"{folder}/cpuset.cpus.effective"))
    if listed is not None and (cpus is None or listed < cpus):
        cpus = float(listed)
        evidence["cpu"] = tree.evidence(f"{folder}/cpuset.cpus.effective")
    limit = _positive(tree, f"{folder}/memory.max")
    if limit is not None:
        evidence["memory"] = tree.evidence(f"{folder}/memory.max")
    kills = _keyed(tree, f"{folder}/memory.events", "oom_kill")
    if kills:
        evidence["oom"] = shown(f"{folder}/memory.events", f"oom_kill {kills}")
    return Level(
        folder,
        memory_limit=limit,
        memory_high=_positive(tree, f"{folder}/memory.high"),
        memory_used=_working_set(tree, folder, "memory.current", "inactive_file"),
        cpus=cpus,
        oom_kills=kills,
        evidence=evidence,
    )


def _memory_v1(tree: Tree, folder: str) -> Level:
    path = f"{folder}/memory.limit_in_bytes"
    limit = _positive(tree, path)
    kills = _keyed(tree, f"{folder}/memory.oom_control", "oom_kill")
    evidence = {} if limit is None else {"memory": tree.evidence(path)}
    if kills:
        evidence["oom"] = shown(f"{folder}/memory.oom_control", f"oom_kill {kills}")
    used = _working_set(tree, folder, "memory.usage_in_bytes", "total_inactive_file")
    return Level(folder, memory_limit=limit, memory_used=used, oom_kills=kills, evidence=evidence)


def _working_set(tree: Tree, folder: str, usage: str, cache: str) -> int | None:
    """Give what is used and not only lies there as a file's pages: those go first when memory runs short (as kubelet counts it)."""
    used = tree.integer(f"{folder}/{usage}")
    return None if used is None else max(0, used - (_keyed(tree, f"{folder}/memory.stat", cache) or 0))


def _cpu_v1(tree: Tree, folder: str) -> Level:
    quota, period = tree.integer(f"{folder}/cpu.cfs_quota_us"), tree.integer(f"{folder}/cpu.cfs_period_us")
    if quota is None or period is None or quota <= 0 or period <= 0:
        return Level(folder)
    path = f"{folder}/cpu.cfs_quota_us"
    return Level(folder, cpus=quota / period, evidence={"cpu": shown(path, f"{quota} of {period}")})


def _cpuset_v1(tree: Tree, folder: str) -> Level:
    for name in ("cpuset.effective_cpus", "cpuset.cpus"):
        count = count_cpu_list(tree.text(f"{folder}/{name}"))
        if count is not None:
            return Level(folder, cpus=float(count), evidence={"cpu": tree.evidence(f"{folder}/{name}")})
    return Level(folder)


def _positive(tree: Tree, path: str) -> int | None:
    """Read a limit in bytes: "max", -1, 0 and v1's huge number are none."""
    value = tree.integer(path)
    return value if value is not None and 0 < value < NO_LIMIT_V1 else None


def _keyed(tree: Tree, path: str, key: str) -> int | None:
    for line in (tree.text(path) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return as_integer(value.strip())
    return None
