"""Operating system: what runtimes have wheels for, and what the kernel and the C library are."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator

from edgectl.checks.rows import Ground, Row

OLDEST_GLIBC = (2, 27)
"""The oldest that wheels of LiteRT and ONNX Runtime are built for (manylinux_2_27)."""
OLDEST_PYTHON = (3, 10)
FATAL = frozenset({"unsupported-arch", "32-bit-userland"})
OF_THE_CPU = frozenset({"no-vector-int8"})


def rows(ground: Ground) -> Iterator[Row]:
    """Judge the system, its architecture and, on the machine itself, its C library."""
    tree, inventory = ground.tree, ground.box.inventory
    told = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', tree.raw("etc/os-release") or "", re.MULTILINE))
    kernel = tree.text("proc/sys/kernel/osrelease") or "of unknown version"
    yield Row("version", "system", "ok", f"{told.get('PRETTY_NAME', 'no etc/os-release')}, Linux {kernel}")
    for finding in inventory.warnings:
        if finding.code in FATAL | OF_THE_CPU:
            shown = ", ".join(f"{one.path} = {one.value}" for one in finding.evidence)
            yield Row(finding.code, "system", "fail" if finding.code in FATAL else "warn", shown, finding.remedy)
    if not any(finding.code in FATAL for finding in inventory.warnings):
        profile = f"profile {ground.box.profile.name}"
        yield Row(
            "architecture",
            "system",
            "ok",
            f"{inventory.arch or 'unknown'}, {inventory.board or 'unknown board'}, {profile}",
        )
    yield _libc(ground)


def python(_ground: Ground) -> Iterator[Row]:
    """Judge the interpreter that runs this, which is edged's own where both are installed together."""
    shown = f"{platform.python_version()} ({sys.executable}), {platform.architecture()[0]}"
    is_old = sys.version_info[:2] < OLDEST_PYTHON
    remedy = "python3 -m venv /opt/edged && /opt/edged/bin/pip install 'edged[tflite,camera]'" if is_old else ""
    yield Row("version", "python", "fail" if is_old else "ok", shown, remedy)


def _libc(ground: Ground) -> Row:
    musl = ground.tree.matching("lib", r"ld-musl-.*")
    if musl:
        remedy = "use a system with glibc (Debian, Ubuntu, Raspberry Pi OS): the runtimes have no wheels for musl"
        return Row("C library", "system", "fail", f"lib/{musl[0]}", remedy)
    name, version = platform.libc_ver() if ground.is_live else ("", "")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version))[:2]
    if not numbers:
        return Row("C library", "system", "skipped", "its version is not told by files")
    if numbers < OLDEST_GLIBC:
        wanted = ".".join(map(str, OLDEST_GLIBC))
        remedy = f"upgrade the operating system: wheels of the runtimes need glibc {wanted}"
        return Row("C library", "system", "fail", f"{name} {version}", remedy)
    return Row("C library", "system", "ok", f"{name} {version}")
