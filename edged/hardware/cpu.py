"""Processors: architecture, how many are online, and which int8 instructions they have."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass

from edged.domain.device import Evidence, Fact
from edged.hardware.tree import Tree, as_integer, shown

CPUINFO = "proc/cpuinfo"
ONLINE = "sys/devices/system/cpu/online"
MAX_PROCESSORS = 65536

INT8_X86 = ("avx2", "avx_vnni", "avx_vnni_int8", "avx512_vnni", "amx_int8")
"""Flags of /proc/cpuinfo that the int8 kernels of XNNPACK and MLAS look for (arch/x86/include/asm/cpufeatures.h)."""
INT8_ARM = ("asimddp", "i8mm", "sve", "svei8mm", "sve2", "sme")
"""The same for arm64 (Documentation/arch/arm64/elf_hwcaps.rst); plain asimd multiplies int8 too, but without a dot product."""

SUPPORTED = ("x86_64", "aarch64")
"""The architectures that LiteRT and ONNX Runtime publish wheels for."""
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64", "x86": "x86_64", "i386": "i686", "i586": "i686"}
_FAMILIES_32 = {"aarch64": "armv7l", "x86_64": "i686"}
_ELF_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
"""e_machine of the ELF specification."""
KERNEL_TEXTS = ("proc/version", "proc/driver/nvidia/version", "proc/sys/kernel/arch")
_PROGRAMS = ("bin/sh", "usr/bin/env", "bin/busybox", "usr/lib/systemd/systemd", "sbin/init")
_ARM_32_WORDS = frozenset({"neon", "vfp", "vfpv3", "thumb", "half", "swp"})


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """What /proc/cpuinfo says. ``features`` are those that every processor has, None where no line lists any."""

    processors: int
    model_name: str | None = None
    features: frozenset[str] | None = None
    features_key: str = ""
    parts: tuple[tuple[int, int], ...] = ()
    """(implementer, part) of each Arm core type, in order of appearance."""
    arm_architecture: int | None = None
    isa: str | None = None
    uarch: str | None = None
    pi_model: str | None = None


@dataclass(frozen=True, slots=True)
class Architecture:
    """The kernel's architecture, and whether the programs on it are 32-bit (None: nothing shows it)."""

    name: str | None
    fact: Fact
    userland_32: Evidence | None = None


def parse_cpuinfo(text: str) -> CpuInfo:
    """Read /proc/cpuinfo of x86, Arm or RISC-V; keys may be followed by a tab, blanks or nothing before the colon."""
    values: dict[str, list[str]] = {}
    for line in text.replace("\0", "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            values.setdefault(key.strip(), []).append(value.strip())
    key = next((key for key in ("flags", "Features") if key in values), "")
    implementers = [_hexadecimal(value) for value in values.get("CPU implementer", [])]
    parts = [_hexadecimal(value) for value in values.get("CPU part", [])]
    names = [*values.get("model name", []), *values.get("Processor", [])]
    return CpuInfo(
        processors=sum(1 for value in values.get("processor", []) if as_integer(value) is not None),
        model_name=next((name for name in names if name), None),
        features=frozenset.intersection(*(frozenset(line.split()) for line in values[key])) if key else None,
        features_key=key,
        parts=tuple(
            dict.fromkeys((i, p) for i, p in zip(implementers, parts, strict=False) if i is not None and p is not None)
        ),
        arm_architecture=as_integer(_first(values, "CPU architecture")),
        isa=_first(values, "isa"),
        uarch=_first(values, "uarch"),
        pi_model=_first(values, "Model"),
    )


def read_cpuinfo(tree: Tree) -> CpuInfo | None:
    """Read /proc/cpuinfo; None when it is not there."""
    text = tree.raw(CPUINFO)
    return parse_cpuinfo(text) if text else None


def architecture(tree: Tree, info: CpuInfo | None) -> Architecture:
    """Find the architecture: from the running kernel, or from what the tree's files show."""
    if tree.is_live:
        machine = _ALIASES.get(platform.machine(), platform.machine()) or None
        evidence = (Evidence("uname", machine),) if machine else ()
        return Architecture(machine, Fact("arch", evidence), _program_of_32(tree, machine))
    for probe in (_from_cpuinfo, _from_modalias, _from_kernel_texts, _from_programs):
        name, evidence_of = probe(tree, info)
        if name is not None and evidence_of is not None:
            userland = _compat_view(info, name) or _program_of_32(tree, name)
            return Architecture(name, Fact("arch", (evidence_of,)), userland)
    absence = tree.absence(f"neither {CPUINFO} nor a kernel version nor a program shows it", CPUINFO, *KERNEL_TEXTS)
    return Architecture(None, Fact("arch", (), absence))


def online(tree: Tree, info: CpuInfo | None) -> tuple[int | None, Fact]:
    """Count the processors that are online, never those that are only possible."""
    listed = tree.text(ONLINE)
    count = count_cpu_list(listed)
    if count and listed is not None:
        return count, Fact("cpu.online", (shown(ONLINE, listed),))
    if info is not None and info.processors:
        return info.processors, Fact("cpu.online", (Evidence(CPUINFO, f"{info.processors} processor entries"),))
    reasons = [tree.lack(path) or f"{path} lists none" for path in (ONLINE, CPUINFO)]
    return None, Fact("cpu.online", (), ", ".join(reasons))


def int8(tree: Tree, info: CpuInfo | None) -> tuple[tuple[str, ...], Fact]:
    """List the int8 instruction sets that every processor has; none without evidence is unknown."""
    if info is None or info.features is None:
        return (), Fact("cpu.int8", (), tree.lack(CPUINFO) or f"{CPUINFO} lists no flags or features")
    if _compat_view(info, "aarch64"):
        return (), Fact("cpu.int8", (), f"{CPUINFO} is what 32-bit programs are shown, without the 64-bit features")
    wanted = INT8_X86 if info.features_key == "flags" else INT8_ARM
    found = tuple(name for name in wanted if name in info.features)
    value = " ".join(found) if found else "none of " + " ".join(wanted)
    return found, Fact("cpu.int8", (Evidence(CPUINFO, f"{info.features_key}: {value}"),))


def count_cpu_list(text: str | None) -> int | None:
    """Count a processor list such as ``0,3-5`` (Documentation/admin-guide/cputopology.rst); None when it is none."""
    if not text or not re.fullmatch(r"\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*", text, re.ASCII):
        return None
    count = 0
    for entry in text.split(","):
        first, _, last = entry.partition("-")
        count += int(last or first) - int(first) + 1
    return count if 0 < count <= MAX_PROCESSORS else None


_Probed = tuple[str | None, Evidence | None]


def _from_cpuinfo(_: Tree, info: CpuInfo | None) -> _Probed:
    if info is None:
        return None, None
    if info.features_key == "flags" and info.features is not None:
        wide = "lm" in info.features  # long mode
        return ("x86_64" if wide else "i686"), Evidence(CPUINFO, "flags: lm" if wide else "flags: no lm")
    isa = re.match(r"rv(32|64)", info.isa or "")
    if isa:
        return f"riscv{isa[1]}", shown(CPUINFO, f"isa: {info.isa}")
    if info.features_key != "Features" or info.features is None:
        return None, None
    return _from_arm_features(info, info.features)


def _from_arm_features(info: CpuInfo, features: frozenset[str]) -> _Probed:
    if "asimd" in features:
        return "aarch64", Evidence(CPUINFO, "Features: asimd")
    if _compat_view(info, "aarch64"):
        return "aarch64", Evidence(CPUINFO, "CPU architecture: 8")
    found = sorted(features & _ARM_32_WORDS)
    # The first Raspberry Pi says "CPU architecture: 7" and "ARMv6-compatible processor rev 7 (v6l)".
    name = "armv6l" if "(v6l)" in (info.model_name or "") else "armv7l"
    return (name, Evidence(CPUINFO, f"Features: {' '.join(found)}")) if found else (None, None)


def _from_modalias(tree: Tree, _: CpuInfo | None) -> _Probed:
    path = "sys/devices/system/cpu/modalias"
    found = re.match(r"cpu:type:([a-z0-9_]{2,16})[:,]", tree.text(path) or "", re.ASCII)
    return (_ALIASES.get(found[1], found[1]), shown(path, found[0])) if found else (None, None)


def _from_kernel_texts(tree: Tree, _: CpuInfo | None) -> _Probed:
    for path in KERNEL_TEXTS:
        found = re.search(r"\b(x86_64|aarch64|riscv64|loongarch64|powerpc64le|s390x)\b", tree.text(path) or "")
        if found:
            return found[1], tree.evidence(path)
    return None, None


def _from_programs(tree: Tree, _: CpuInfo | None) -> _Probed:
    for path in _PROGRAMS:
        machine = _elf_machine(tree, path)
        if machine is not None:
            return machine, Evidence(path, f"ELF for {machine}")
    return None, None


def _compat_view(info: CpuInfo | None, arch: str) -> Evidence | None:
    """See the 32-bit view of cpuinfo that a 64-bit Arm kernel gives to 32-bit programs.

    It has the old feature words without asimd, yet ``CPU architecture: 8``, where a 32-bit kernel on the same core
    says 7 (arch/arm64/kernel/cpuinfo.c, c_show; arch/arm/kernel/setup.c).
    """
    if info is None or arch != "aarch64" or info.features is None or info.arm_architecture != 8:  # noqa: PLR2004 - ARMv8
        return None
    if "asimd" in info.features or not info.features & _ARM_32_WORDS:
        return None
    return Evidence(CPUINFO, "32-bit Features with CPU architecture: 8")


def _program_of_32(tree: Tree, arch: str | None) -> Evidence | None:
    """Find a program, loader or package list that shows a 32-bit userland on a 64-bit kernel."""
    narrow = _FAMILIES_32.get(arch or "")
    if narrow is None:
        return None
    for path in _PROGRAMS:
        machine = _elf_machine(tree, path)
        if machine is not None:
            return Evidence(path, f"ELF for {machine}") if machine == narrow else None
    packages = tree.text("var/lib/dpkg/arch")
    if packages is not None and packages.split()[0] in {"armhf", "armel", "i386"}:
        return shown("var/lib/dpkg/arch", packages)
    loader = "lib/ld-linux-armhf.so.3"
    if arch == "aarch64" and tree.exists(loader) and not tree.exists("lib/ld-linux-aarch64.so.1"):
        return Evidence(loader, "present, ld-linux-aarch64.so.1 absent")
    return None


def _elf_machine(tree: Tree, path: str) -> str | None:
    head = tree.head(path, 20)
    if head is None or len(head) < 20 or head[:4] != b"\x7fELF":  # noqa: PLR2004 - e_machine ends at byte 20
        return None
    order = "big" if head[5] == 2 else "little"  # noqa: PLR2004 - ELFDATA2MSB
    return _ELF_MACHINES.get(int.from_bytes(head[18:20], order))  # type: ignore[arg-type] # mypy widens the literal


def _first(values: dict[str, list[str]], key: str) -> str | None:
    return next((value for value in values.get(key, []) if value), None)


def _hexadecimal(value: str) -> int | None:
    return int(value, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,4}", value, re.ASCII) else None
