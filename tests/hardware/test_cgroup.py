from __future__ import annotations

import pytest

from edged.hardware.cgroup import limits
from edged.hardware.inventory import take_inventory
from edged.hardware.tree import Tree
from fakes.devicetree import Machine

CG = "sys/fs/cgroup"


def test_a_path_that_leaves_its_namespace_is_not_followed_out(machine: Machine) -> None:
    root = machine(f"proc/self/cgroup = 0::/../../../../secret\nsecret/memory.max = 1\n{CG}/cgroup.procs = 1")

    assert limits(Tree(root)).memory is None


def test_a_path_outside_its_namespace_is_found_one_folder_down_when_it_is_the_only_one(machine: Machine) -> None:
    root = machine(
        f"proc/self/cgroup = 0::/../../u.slice/s.scope\n{CG}/user.slice/u.slice/s.scope/memory.max = 1048576"
    )

    assert take_inventory(root).memory.limit_mb == 1


@pytest.mark.parametrize("value", ["max", "9223372036854771712", "-1", "0", "", "garbage"])
def test_no_limit_is_none(value: str, machine: Machine) -> None:
    root = machine(f"{CG}/memory/memory.limit_in_bytes = {value}\n{CG}/memory.max = {value}")

    assert take_inventory(root).memory.limit_mb is None


@pytest.mark.parametrize("value", ["max 100000", "100000 0", "-1 100000", "100000", "x y", ""])
def test_no_quota_is_none(value: str, machine: Machine) -> None:
    assert take_inventory(machine(f"{CG}/cpu.max = {value}")).cpu.allowed is None


def test_a_set_of_processors_is_a_limit_too(machine: Machine) -> None:
    root = machine(
        f"{CG}/cpuset.cpus.effective = 2-3\n{CG}/cpu.max = 300000 100000\nproc/cpuinfo x8 = processor : {{n}}"
    )

    assert take_inventory(root).cpu.allowed == 2.0


def test_the_headroom_is_below_the_soft_limit_and_never_negative(machine: Machine) -> None:
    root = machine(f"{CG}/memory.max = 1000\n{CG}/memory.high = 500\n{CG}/memory.current = 600")

    assert limits(Tree(root)).memory_headroom_bytes == 0


def test_the_hybrid_layout_is_read_in_both_hierarchies(machine: Machine) -> None:
    root = machine(
        f"proc/self/cgroup = 2:memory:/a\\n0::/b\n{CG}/memory/a/memory.limit_in_bytes = 4194304\n"
        f"{CG}/unified/b/memory.max = 2097152"
    )

    assert take_inventory(root).memory.limit_mb == 2


def test_a_limit_names_its_own_file(machine: Machine) -> None:
    found = take_inventory(machine("container-cgroup1"))

    evidence = {fact.name: fact.evidence[-1].path for fact in found.facts if fact.evidence}
    assert evidence["memory"] == f"{CG}/memory/pod/memory.limit_in_bytes"
    assert evidence["cpu.allowed"] == f"{CG}/cpu,cpuacct/pod/app/cpu.cfs_quota_us"
