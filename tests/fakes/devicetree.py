"""Machines as text: expands ``tests/devices/<name>.txt`` into a folder that stands for a system root."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

DEVICES = Path(__file__).resolve().parents[1] / "devices"
NAMES = tuple(sorted(file.stem for file in DEVICES.glob("*.txt")))


Machine = Callable[[str], Path]
"""From a machine's name, or the lines of one, to the root that was built for it."""


def plant(name: str, root: Path) -> Path:
    """Build the machine below ``root`` and give ``root``."""
    return build((DEVICES / f"{name}.txt").read_text(encoding="utf-8"), root)


def build(text: str, root: Path) -> Path:
    """Build a machine from the lines that tests/devices/README.md describes."""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        link = re.fullmatch(r"(\S+) -> (\S+)", line)
        file = re.fullmatch(r"(\S+)(?: x(\d+))? = (.*)", line)
        path = root / (link or file or re.match(r"(\S+)", line))[1]  # type: ignore[index] # the last always fits
        path.parent.mkdir(parents=True, exist_ok=True)
        if link:
            path.symlink_to(link[2])
        elif file:
            path.write_bytes(_content(file[3], int(file[2] or 1)))
        elif line.endswith("/"):
            path.mkdir()
        else:
            path.touch()
    return root


def _content(text: str, times: int) -> bytes:
    plain = text.replace("\\0", "\0").replace("\\n", "\n").replace("\\t", "\t")
    repeated = "".join(plain.replace("{n}", str(n)) + ("\n" if times > 1 else "") for n in range(times))
    return (repeated if repeated.endswith(("\0", "\n")) else repeated + "\n").encode()
