from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.hardware.board import processor_name, soc_of
from edged.hardware.cpu import count_cpu_list, parse_cpuinfo
from edged.hardware.inventory import take_inventory
from fakes.devicetree import Machine


@pytest.mark.parametrize(
    ("text", "count"),
    [("0-3", 4), ("0,3-5", 4), ("0", 1), ("0-127", 128), ("", None), ("x", None), ("3-0", None), ("0-999999", None)],
)
def test_a_processor_list_is_counted(text: str, count: int | None) -> None:
    assert count_cpu_list(text) == count


@given(st.text())
def test_no_text_breaks_the_count(text: str) -> None:
    count = count_cpu_list(text)

    assert count is None or count > 0


@pytest.mark.parametrize("colon", [" : ", "\t: ", ":", "\t\t:\t"])
def test_keys_of_cpuinfo_may_be_set_off_in_any_way(colon: str) -> None:
    info = parse_cpuinfo(f"processor{colon}0\nprocessor{colon}3\nFeatures{colon}fp asimd")

    assert (info.processors, info.features) == (2, frozenset({"fp", "asimd"}))


def test_features_are_those_that_every_core_has() -> None:
    info = parse_cpuinfo("Features: asimd asimddp i8mm\n\nFeatures: asimd asimddp\n")

    assert info.features == {"asimd", "asimddp"}


def test_the_named_processor_line_of_old_arm_kernels_is_no_processor() -> None:
    info = parse_cpuinfo("Processor\t: ARMv7 Processor rev 4 (v7l)\nprocessor\t: 0\n")

    assert (info.processors, info.model_name) == (1, "ARMv7 Processor rev 4 (v7l)")


@pytest.mark.parametrize(
    ("model_name", "name"),
    [
        ("11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", "Intel Core i7-1165G7"),
        ("Intel(R) Core(TM) i5 CPU       M 560  @ 2.67GHz", "Intel Core i5 M 560"),
        ("Intel(R) N100", "Intel N100"),
        ("AMD EPYC 7451 24-Core Processor", "AMD EPYC 7451"),
        ("AMD Opteron(tm) Processor 6328", "AMD Opteron 6328"),
        ("AMD Ryzen Embedded R1505G with Radeon Vega Gfx", "AMD Ryzen Embedded R1505G"),
        ("AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", "AMD Ryzen AI MAX+ 395"),
    ],
)
def test_a_pcs_processor_is_named_without_trade_marks(model_name: str, name: str) -> None:
    found = processor_name(parse_cpuinfo(f"model name\t: {model_name}\nflags\t: lm"))

    assert found is not None
    assert found[0] == name


def test_arm_cores_are_named_by_their_parts() -> None:
    found = processor_name(
        parse_cpuinfo("CPU implementer: 0x41\nCPU part: 0xd87\nCPU implementer: 0x99\nCPU part: 0x123")
    )

    assert found is not None
    assert found[0] == "Cortex-A725 + core 0x99/0x123"


@pytest.mark.parametrize(
    ("compatible", "soc"),
    [
        (("raspberrypi,5-model-b", "brcm,bcm2712"), "BCM2712"),
        (("nvidia,p3737-0000+p3701-0000", "nvidia,tegra234", "nvidia,tegra23x"), "Tegra234"),
        (("rockchip,rk3568-odroid-m1", "rockchip,rk3568"), "RK3568"),
        (("rockchip,rk3588s-orangepi-5", "rockchip,rk3588"), "RK3588"),
        (("friendlyarm,nanopi-r6s", "rockchip,rk3588s"), "RK3588S"),
        (("google,imx8mq-phanbell", "fsl,imx8mq"), "i.MX 8M Quad"),
        (("beagle,am62-beagleplay", "ti,am625"), "AM625"),
        (("starfive,visionfive-2-v1.3b", "starfive,jh7110"), "JH7110"),
        (("linux,dummy-virt",), None),
        ((), None),
    ],
)
def test_the_chip_is_read_from_compatible(compatible: tuple[str, ...], soc: str | None) -> None:
    assert soc_of(compatible)[1] == soc


@pytest.mark.parametrize(
    ("lines", "arch"),
    [
        ("proc/cpuinfo = flags : fpu lm", "x86_64"),
        ("proc/cpuinfo = flags : fpu sse2", "i686"),
        ("proc/cpuinfo = Features : fp asimd", "aarch64"),
        ("proc/cpuinfo = Features : half neon", "armv7l"),
        ("proc/cpuinfo = model name : ARMv6-compatible processor rev 7 (v6l)\\nFeatures : half thumb vfp", "armv6l"),
        ("proc/cpuinfo = isa : rv64imafdcv", "riscv64"),
        ("proc/cpuinfo = isa : rv32imac", "riscv32"),
        ("proc/cpuinfo = cpu : POWER9", None),
        ("sys/devices/system/cpu/modalias = cpu:type:x86,ven0000fam0006mod008C", "x86_64"),
        ("sys/devices/system/cpu/modalias = cpu:type:aarch64:feature:,0000", "aarch64"),
        ("proc/version = Linux version 6.1 (gcc) (x86_64-linux-gnu)", "x86_64"),
        ("proc/driver/nvidia/version = NVRM version: NVIDIA UNIX x86_64 Kernel Module", "x86_64"),
    ],
)
def test_the_architecture_is_read_from_what_there_is(lines: str, arch: str | None, machine: Machine) -> None:
    assert take_inventory(machine(lines)).arch == arch


def test_processors_are_counted_in_cpuinfo_where_sysfs_is_absent(machine: Machine) -> None:
    assert take_inventory(machine("proc/cpuinfo x3 = processor : {n}")).cpu.online == 3


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ("flags : lm avx avx2 avx_vnni amx_int8", ("avx2", "avx_vnni", "amx_int8")),
        ("Features : fp asimd asimddp sve i8mm", ("asimddp", "i8mm", "sve")),
        ("flags : lm avx", ()),
    ],
)
def test_int8_instruction_sets_are_listed_from_weak_to_strong(
    features: str, found: tuple[str, ...], machine: Machine
) -> None:
    assert take_inventory(machine(f"proc/cpuinfo = {features}")).cpu.int8 == found
