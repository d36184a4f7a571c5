"""The captured trees of real machines: what each of them must come out as, read from their README and expected.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from edged.config.share import shipped
from edged.control.profile import load_profiles, match_profile
from edged.hardware.inventory import take_inventory, to_document

pytestmark = pytest.mark.assets


@dataclass(frozen=True)
class Tree:
    """The right answers; ``memory_mb`` is the smaller of total and limit, ``usable`` and ``unusable`` are kinds with states."""

    profile: str
    board: str | None = None
    soc: str | None = None
    arch: str | None = None
    online: int | None = None
    allowed: float | None = None
    int8: tuple[str, ...] = ()
    memory_mb: int | None = None
    usable: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


ARM, X86 = "aarch64", "x86_64"
DOT = ("asimddp",)
NONE = "no-vector-int8"
TREES = {
    "rpi3-model-b-armhf-userland": Tree(
        "raspberry-pi-3", "Raspberry Pi 3 Model B Rev 1.2", "BCM2837", ARM, 4, 4, (), 907, warnings=(NONE,)
    ),
    "rpi-zero-2-32bit": Tree(
        "raspberry-pi-zero-2-w",
        "Raspberry Pi Zero 2 Rev 1.0",
        "BCM2837",
        "armv7l",
        4,
        4,
        (),
        427,
        warnings=("unsupported-arch", "low-memory"),
    ),
    "rpi4-model-b-8gb": Tree(
        "raspberry-pi-4",
        "Raspberry Pi 4 Model B Rev 1.4",
        "BCM2711",
        ARM,
        4,
        4,
        (),
        7811,
        warnings=(NONE, "under-voltage"),
    ),
    "rpi5-8gb": Tree("raspberry-pi-5", "Raspberry Pi 5 Model B Rev 1.0", "BCM2712", ARM, 4, 4, DOT, 8090),
    "rpi5-hailo8l": Tree(
        "raspberry-pi-5", "Raspberry Pi 5 Model B Rev 1.0", "BCM2712", ARM, 4, 4, DOT, 8090, ("hailo pcie ready",)
    ),
    "rpi4-coral-usb-dfu": Tree(
        "raspberry-pi-4",
        "Raspberry Pi 4 Model B Rev 1.4",
        "BCM2711",
        ARM,
        4,
        4,
        (),
        3793,
        ("edgetpu usb waiting-for-firmware",),
        warnings=(NONE,),
    ),
    "jetson-nano-4gb": Tree(
        "jetson-nano",
        "NVIDIA Jetson Nano Developer Kit",
        "Tegra210",
        ARM,
        4,
        4,
        (),
        3964,
        ("nvidia-gpu soc ready",),
        warnings=(NONE,),
    ),
    "jetson-xavier-nx": Tree(
        "jetson-xavier-nx",
        "NVIDIA Jetson Xavier NX Developer Kit",
        "Tegra194",
        ARM,
        6,
        6,
        (),
        7770,
        ("nvidia-gpu soc ready",),
        warnings=(NONE,),
    ),
    "jetson-orin-nano-devkit-r35": Tree(
        "jetson-orin-nano",
        "NVIDIA Jetson Orin Nano Developer Kit",
        "Tegra234",
        ARM,
        6,
        6,
        DOT,
        6451,
        ("nvidia-gpu soc ready",),
    ),
    "jetson-agx-orin-early": Tree(
        "jetson-agx-orin",
        "NVIDIA Jetson AGX Orin Developer Kit",
        "Tegra234",
        ARM,
        12,
        12,
        DOT,
        30591,
        ("nvidia-gpu soc ready",),
    ),
    "jetson-tx2-two-cores-off": Tree(
        "jetson-tx2",
        "NVIDIA Jetson TX2",
        "Tegra186",
        ARM,
        4,
        4,
        (),
        7850,
        ("nvidia-gpu soc ready",),
        warnings=(NONE,),
    ),
    "coral-dev-board": Tree(
        "coral-dev-board",
        "Google Coral Dev Board (Phanbell)",
        "i.MX 8M Quad",
        ARM,
        4,
        4,
        (),
        986,
        ("edgetpu pcie ready",),
        warnings=(NONE,),
    ),
    "coral-pcie-shuttle-dh270": Tree(
        "x86-64-avx2",
        "Shuttle Inc. DH270",
        "Intel Core (Kaby Lake, name not in the source)",
        X86,
        8,
        8,
        ("avx2",),
        15882,
        ("edgetpu pcie busy", "intel-gpu pci ready"),
    ),
    "coral-pcie-minimal-sysfs": Tree(
        "x86-64",
        None,
        "Intel Core i5 M 560",
        X86,
        4,
        4,
        (),
        7812,
        ("edgetpu pcie busy",),
        warnings=(NONE,),
    ),
    "coral-pcie-driver-missing-n100": Tree(
        "intel-n-series",
        "ADL-N",
        "Intel N100",
        X86,
        4,
        4,
        ("avx2", "avx_vnni"),
        7680,
        ("intel-gpu pci ready",),
        ("edgetpu pcie driver-missing",),
    ),
    "x86-coral-usb-ready-usb2": Tree(
        "x86-64-vnni",
        None,
        "Intel Core i7-1165G7",
        X86,
        8,
        8,
        ("avx2", "avx512_vnni"),
        15625,
        ("edgetpu usb ready",),
        warnings=("usb2-link",),
    ),
    "rock5b-rk3588-bsp": Tree(
        "rockchip-rk3588", "Radxa ROCK 5B", "RK3588", ARM, 8, 8, DOT, 15360, ("rockchip-npu soc ready",)
    ),
    "odroid-m1-rk3568-mainline": Tree(
        "rockchip-rk356x",
        "Hardkernel ODROID-M1",
        "RK3568",
        ARM,
        4,
        4,
        DOT,
        3686,
        (),
        ("rockchip-npu soc driver-missing",),
    ),
    "intel-n100-beelink-eq": Tree(
        "intel-n-series",
        "AZW EQ",
        "Intel N100",
        X86,
        4,
        4,
        ("avx2", "avx_vnni"),
        15360,
        ("intel-gpu pci ready",),
    ),
    "intel-meteor-lake-155h": Tree(
        "intel-core-ultra",
        None,
        "Intel Core Ultra 7 155H",
        X86,
        22,
        22,
        ("avx2", "avx_vnni"),
        31250,
        ("intel-npu pci ready", "intel-gpu pci ready"),
    ),
    "tigerlake-1165g7-avx512-vnni": Tree(
        "x86-64-vnni",
        None,
        "Intel Core i7-1165G7",
        X86,
        8,
        8,
        ("avx2", "avx512_vnni"),
        None,
        ("intel-gpu pci ready",),
    ),
    "dell-e4310-no-avx": Tree(
        "x86-64",
        None,
        "Intel Core i5 M 560",
        X86,
        4,
        4,
        unusable=("intel-gpu pci unsupported",),
        warnings=(NONE,),
    ),
    "hp-t640-ryzen-r1505g": Tree(
        "x86-64-avx2",
        "HP t640 Thin Client",
        "AMD Ryzen Embedded R1505G",
        X86,
        4,
        4,
        ("avx2",),
        5837,
        ("amd-gpu pci ready",),
    ),
    "framework-desktop-ryzen-ai-max-395": Tree(
        "x86-64-vnni",
        "Framework Desktop (AMD Ryzen AI Max 300 Series)",
        "AMD Ryzen AI MAX+ 395",
        X86,
        32,
        32,
        ("avx2", "avx_vnni", "avx512_vnni"),
        128000,
        ("amd-gpu pci ready",),
        warnings=("unsupported-accelerator",),
    ),
    "epyc-7451-2-socket": Tree("x86-64-avx2", None, "AMD EPYC 7451", X86, 96, 96, ("avx2",)),
    "opteron-6328-possible-over-online": Tree(
        "x86-64",
        None,
        "AMD Opteron 6328",
        X86,
        16,
        16,
        unusable=("amd-gpu pci unsupported",),
        warnings=(NONE,),
    ),
    "nvidia-dgx-spark-gb10": Tree(
        "arm64-dotprod",
        "NVIDIA_DGX_Spark",
        "GB10",
        ARM,
        20,
        20,
        ("asimddp", "i8mm", "sve", "svei8mm", "sve2"),
        122566,
    ),
    "ampere-altra-max-128": Tree("arm64-dotprod", None, "Neoverse N1", ARM, 128, 128, DOT),
    "arm-phone-a510-a710-a715-x3": Tree(
        "arm64-dotprod",
        None,
        "Cortex-A510 + Cortex-A715 + Cortex-A710 + Cortex-X3",
        ARM,
        8,
        8,
        ("asimddp", "i8mm"),
    ),
    "riscv-visionfive2": Tree(
        "generic", None, "rv64imafdc (sifive,u74-mc)", "riscv64", 4, 4, warnings=("unsupported-arch",)
    ),
    "armv7-exynos-2core": Tree("generic", None, "Cortex-A15", "armv7l", 2, 2, warnings=("unsupported-arch",)),
    "k8s-pod-cgroup1-2gib": Tree("generic", memory_mb=2048),
    "docker-cgroup2-dotdot": Tree("generic", memory_mb=31250),
    "container-cgroup2-nested-limits": Tree("generic", online=4, allowed=1.5, memory_mb=1024, warnings=("oom-kill",)),
    "psi-thermal-battery-fixtures": Tree(
        "x86-64-avx2",
        None,
        "Intel Core i7-8650U",
        X86,
        8,
        8,
        ("avx2",),
        15300,
        ("amd-gpu pci ready",),
    ),
    "hwmon-poweredge-r720": Tree("generic"),
    "nvidia-a100-dgx-pci": Tree("nvidia-gpu", arch=X86, usable=("nvidia-gpu pci ready",) * 8),
}


@pytest.mark.parametrize("name", sorted(TREES))
def test_a_captured_tree_comes_out_right(name: str, assets: Path) -> None:
    expected = TREES[name]

    found = take_inventory(assets / "devices" / name)

    limits = [x for x in (found.memory.total_mb, found.memory.limit_mb) if x is not None]
    told = [f"{x.kind} {x.bus} {x.state}" for x in found.accelerators if x.usable]
    refused = [x for x in found.accelerators if not x.usable]
    profile = match_profile(load_profiles([shipped("device-profiles")]), found)
    assert (found.board, found.soc, found.arch) == (expected.board, expected.soc, expected.arch)
    assert (found.cpu.online, found.cpu.allowed) == (expected.online, expected.allowed)
    assert found.cpu.int8 == expected.int8
    # The expected figures are rounded or cut off, from case to case.
    assert min(limits, default=None) == (expected.memory_mb and pytest.approx(expected.memory_mb, abs=1.1))
    assert sorted(told) == sorted(expected.usable)
    assert [f"{x.kind} {x.bus} {x.state}" for x in refused] == list(expected.unusable)
    assert all(x.reason for x in refused)
    assert sorted(x.code for x in found.warnings) == sorted(expected.warnings)
    assert profile.name == expected.profile


def test_every_tree_has_its_row(assets: Path) -> None:
    assert set(json.loads((assets / "devices" / "expected.json").read_text())) == set(TREES)


@pytest.mark.parametrize("name", sorted(TREES))
def test_every_finding_of_a_captured_tree_names_a_file_of_it(name: str, assets: Path) -> None:
    root = assets / "devices" / name

    found = take_inventory(root)

    shown = [x for part in (found.accelerators, found.warnings, found.facts) for item in part for x in item.evidence]
    assert all(item.evidence for part in (found.accelerators, found.warnings) for item in part)
    assert all(x.value for x in shown)
    assert not [x.path for x in shown if x.path.startswith(("/", ".."))]
    assert all(fact.evidence or fact.absence for fact in found.facts)
    assert json.loads(json.dumps(to_document(found, "p", ()), ensure_ascii=False).encode()) == to_document(
        found, "p", ()
    )
