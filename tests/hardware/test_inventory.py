from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly import compiling
from edged.domain.device import Inventory
from edged.hardware import findings, places, runtimes
from edged.hardware.inventory import take_inventory, to_document
from edged.hardware.runtimes import InstalledRuntime
from fakes.devicetree import NAMES, Machine, build


def _codes(found: Inventory) -> set[str]:
    return {warning.code for warning in found.warnings}


def test_an_empty_folder_is_unknown_throughout_and_says_why(tmp_path: Path) -> None:
    found = take_inventory(tmp_path)

    assert (found.board, found.soc, found.arch, found.compatible) == (None, None, None, ())
    assert (found.cpu.online, found.cpu.allowed, found.cpu.int8) == (None, None, ())
    assert (found.memory.total_mb, found.memory.limit_mb) == (None, None)
    assert (found.accelerators, found.warnings) == ((), ())
    assert all(fact.absence for fact in found.facts)


def test_a_root_that_does_not_exist_is_as_empty(tmp_path: Path) -> None:
    assert take_inventory(tmp_path / "absent") == take_inventory(tmp_path)


def test_this_machine_is_read() -> None:
    found = take_inventory(Path("/"))

    assert found.arch == platform.machine()
    assert found.cpu.online is not None
    assert found.cpu.allowed is not None
    assert 0 < found.cpu.allowed <= len(os.sched_getaffinity(0))
    assert found.memory.total_mb is not None


@pytest.mark.parametrize("name", NAMES)
def test_every_finding_has_evidence_and_every_absence_a_reason(name: str, machine: Machine) -> None:
    found = take_inventory(machine(name))

    assert all(x.evidence for x in (*found.accelerators, *found.warnings))
    assert all(x.reason for x in found.accelerators if not x.usable)
    assert all(x.remedy for x in found.warnings)
    assert all(fact.evidence or fact.absence for fact in found.facts)


def test_a_third_party_carrier_keeps_its_name_behind_the_modules(machine: Machine) -> None:
    found = take_inventory(machine("jetson-orin-nx-third-party-carrier"))

    assert (found.board, found.soc) == ("NVIDIA Jetson Orin NX (Acme Edge Box 16)", "Tegra234")


def test_a_jetson_is_named_by_its_module_and_not_by_its_model_text(machine: Machine) -> None:
    assert take_inventory(machine("jetson-agx-xavier")).board == "NVIDIA Jetson AGX Xavier"


def test_the_firmwares_placeholders_are_no_name(machine: Machine) -> None:
    assert take_inventory(machine("pc-dual-coral")).board == "ASRock H110M-ITX"


def test_the_device_tree_is_found_through_an_absolute_link(machine: Machine) -> None:
    found = take_inventory(machine("raspberry-pi-5-hailo-no-driver"))

    assert (found.board, found.soc) == ("Raspberry Pi 5 Model B Rev 1.1", "BCM2712")


def test_a_32_bit_userland_on_a_64_bit_kernel_is_a_warning(machine: Machine) -> None:
    found = take_inventory(machine("zero-2-w-32bit-userland"))

    assert found.arch == "aarch64"
    assert {"32-bit-userland", "low-memory"} <= _codes(found)


@pytest.mark.parametrize(
    ("lines", "warns"),
    [
        ("bin/sh = \x7fELF\x01\x01" + "\0" * 12 + "\x28\0", True),
        ("bin/sh = \x7fELF\x02\x01" + "\0" * 12 + "\xb7\0", False),
        ("lib/ld-linux-armhf.so.3 = x", True),
        ("lib/ld-linux-armhf.so.3 = x\nlib/ld-linux-aarch64.so.1 = x", False),
        ("var/lib/dpkg/arch = armhf", True),
        ("var/lib/dpkg/arch = arm64\\narmhf", False),
    ],
)
def test_programs_and_packages_tell_a_32_bit_userland(lines: str, warns: bool, tmp_path: Path) -> None:
    build("proc/cpuinfo = Features\\t: fp asimd", tmp_path)
    for line in lines.split("\n"):
        path, _, content = line.partition(" = ")
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content.replace("\\n", "\n").encode("latin-1"))

    assert ("32-bit-userland" in _codes(take_inventory(tmp_path))) == warns


def test_under_voltage_and_throttling_are_warnings(machine: Machine) -> None:
    assert {"under-voltage", "throttled"} <= _codes(take_inventory(machine("raspberry-pi-4-coral-usb3")))


@pytest.mark.parametrize(
    ("kind", "temp", "warns"),
    [
        ("cpu-thermal", 86400, True),
        ("cpu-thermal", 84000, False),
        ("PMIC-Die", 100000, False),
        ("ethernet-phy", 100000, False),
        ("GPU-therm", 200000, False),
    ],
)
def test_only_a_believable_heat_of_processor_or_gpu_is_a_warning(
    kind: str,
    temp: int,
    warns: bool,
    machine: Machine,
) -> None:
    zone = "sys/class/thermal/thermal_zone7"
    root = machine(f"{zone}/type = {kind}\n{zone}/temp = {temp}")

    assert ("temperature-high" in _codes(take_inventory(root))) == warns


def test_a_hot_ethernet_chip_with_its_alarm_set_is_no_warning(machine: Machine) -> None:
    chip = "sys/class/hwmon/hwmon0"
    root = machine(f"{chip}/name = 6810000ethernet00\n{chip}/temp1_input = 95700\n{chip}/temp1_crit_alarm = 1")

    assert take_inventory(root).warnings == ()


def test_limits_are_the_smallest_on_the_way_up_in_cgroup_1(machine: Machine) -> None:
    found = take_inventory(machine("container-cgroup1"))

    assert (found.memory.limit_mb, found.cpu.allowed) == (256, 2.5)
    assert "oom-kill" in _codes(found)


def test_limits_of_a_namespace_stand_in_the_mounted_root_in_cgroup_2(machine: Machine) -> None:
    found = take_inventory(machine("container-cgroup2"))

    assert (found.memory.limit_mb, found.cpu.allowed, found.cpu.online) == (1024, 1.5, 8)


def test_folders_in_the_place_of_files_are_absent(machine: Machine, tmp_path: Path) -> None:
    root = machine("proc/cpuinfo/\nproc/meminfo/\nsys/devices/system/cpu/online/\nproc/device-tree = x\nsys/bus = x")

    found, nothing = take_inventory(root), take_inventory(tmp_path / "absent")
    assert replace(found, facts=()) == replace(nothing, facts=())
    absences = {fact.name: fact.absence for fact in found.facts}
    assert absences["cpu.int8"] == "cannot read proc/cpuinfo (it is no file)"
    assert absences["memory"] == "cannot read proc/meminfo (it is no file)"
    assert absences["soc"].endswith("; cannot read proc/cpuinfo (it is no file)")


@pytest.mark.parametrize(
    ("lines", "name", "absence"),
    [
        ("proc/version = Linux", "cpu.int8", "no proc/cpuinfo"),
        ("proc/cpuinfo = isa : rv64imafdc", "cpu.int8", "proc/cpuinfo lists no flags or features"),
        (
            "proc/cpuinfo = Features : half neon vfp\\nCPU architecture: 8",
            "cpu.int8",
            "proc/cpuinfo is what 32-bit programs are shown, without the 64-bit features",
        ),
        ("sys/fs/cgroup/memory.max = 1073741824", "memory", "no proc/meminfo"),
        ("proc/meminfo = MemFree: 1 kB", "memory", "proc/meminfo tells no MemTotal"),
        ("proc/meminfo = MemTotal: 0 kB", "memory", "proc/meminfo tells no MemTotal"),
        (
            "proc/cpuinfo = flags : lm\nsys/devices/system/cpu/online = x",
            "cpu.online",
            "sys/devices/system/cpu/online lists none, proc/cpuinfo lists none",
        ),
    ],
)
def test_what_is_unknown_says_what_lacks(lines: str, name: str, absence: str, machine: Machine) -> None:
    found = take_inventory(machine(lines))

    assert to_document(found, None, ())["absent"][name] == absence


def test_instructions_that_are_not_shown_are_not_called_missing(machine: Machine) -> None:
    root = machine("proc/cpuinfo = Features : half neon vfp\\nCPU architecture: 8\nbin/sh = x")

    assert "no-vector-int8" not in _codes(take_inventory(root))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_files_are_absent(machine: Machine) -> None:
    root = machine("proc/meminfo = MemTotal: 1000000 kB\n")
    (root / "proc/meminfo").chmod(0)

    found = take_inventory(root)
    assert found.memory.total_mb is None
    assert to_document(found, None, ())["absent"]["memory"] == "cannot read proc/meminfo (Permission denied)"


def test_the_document_has_the_contracts_keys_and_null_for_absent(tmp_path: Path) -> None:
    document = to_document(take_inventory(tmp_path), "generic", ())

    assert document["schema"] == "edged.hardware/1"
    assert document["profile"] == "generic"
    assert document["board"] is document["soc"] is document["arch"] is None
    assert document["cpu"] == {"online": None, "allowed": None, "int8": []}
    assert document["memory_mb"] == {"total": None, "limit": None}
    assert document["accelerators"] == document["warnings"] == []
    cpu = {"cpu.online", "cpu.allowed", "cpu.int8"}
    assert set(document["absent"]) == {"board", "soc", "arch", *cpu, "memory", "accelerators"}


def test_the_document_tells_an_accelerator_as_the_contract_does(machine: Machine) -> None:
    document = to_document(take_inventory(machine("raspberry-pi-4-coral-usb3")), "raspberry-pi-4", ())

    told = document["accelerators"][0]
    assert {key: told[key] for key in ("kind", "bus", "usable", "state", "reason", "speed_mbps")} == {
        "kind": "edgetpu",
        "bus": "usb",
        "usable": True,
        "state": "ready",
        "reason": "",
        "speed_mbps": 5000,
    }
    assert told["evidence"][0] == {"path": "sys/bus/usb/devices/2-1.4/idVendor", "value": "18d1"}
    assert json.loads(json.dumps(document)) == document


def test_the_document_warns_of_runtimes_that_overwrite_each_other(tmp_path: Path) -> None:
    two = (InstalledRuntime("onnx", "onnxruntime", "1.24"), InstalledRuntime("onnx", "onnxruntime-gpu", "1.24"))

    document = to_document(take_inventory(tmp_path), None, two)

    assert [warning["code"] for warning in document["warnings"]] == ["two-onnxruntimes"]
    assert [runtime["distribution"] for runtime in document["runtimes"]] == ["onnxruntime", "onnxruntime-gpu"]


def test_a_root_that_is_a_file_is_as_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert take_inventory(tmp_path / "file") == take_inventory(tmp_path / "absent")


@pytest.mark.parametrize(
    ("lines", "board"),
    [
        ("proc/device-tree/compatible = nvidia,p3767-0000\\0nvidia,tegra234\\0", "NVIDIA Jetson Orin NX"),
        (
            "proc/device-tree/compatible = nvidia,p9999-0000\\0nvidia,tegra234\\0\nproc/device-tree/model = New Jetson\\0",
            "New Jetson",
        ),
        ("proc/cpuinfo = Model\\t\\t: Raspberry Pi 2 Model B Rev 1.1", "Raspberry Pi 2 Model B Rev 1.1"),
        (
            "sys/class/dmi/id/sys_vendor = HP\nsys/class/dmi/id/product_name = HP t640 Thin Client",
            "HP t640 Thin Client",
        ),
        ("sys/class/dmi/id/product_name = System Product Name", None),
    ],
)
def test_the_board_is_named_by_what_there_is(lines: str, board: str | None, machine: Machine) -> None:
    assert take_inventory(machine(lines)).board == board


def test_the_reference_lists_every_code_of_a_warning() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "hardware.md").read_text("utf-8")

    listed = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page.partition("## Warnings")[2], re.MULTILINE))
    modules = (findings, places, runtimes, compiling)
    sources = "".join(Path(module.__file__ or "").read_text("utf-8") for module in modules)
    assert listed == set(re.findall(r'Finding\(\s*"([a-z0-9-]+)"', sources))
