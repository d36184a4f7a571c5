"""Which of ONNX Runtime's packages an interpreter has, edged's own or another one, and which TensorRT lies beside them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from edged.hardware.runtimes import ONNX_DISTRIBUTIONS
from edged.hardware.tree import Tree

TENSORRT = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11")
"""NVIDIA's distributions of it; JetPack has system packages instead."""
LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib")
ANSWER_S = 20.0
"""An interpreter on a cold SD card starts within seconds."""
LISTING = """
import json, sys
from importlib import metadata
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """``onnx`` are ONNX Runtime's distributions with their versions, ``tensorrt`` is that library's version, or empty."""

    python: Path | None = None
    """None is edged's own."""
    onnx: Mapping[str, str] = field(default_factory=dict)
    tensorrt: str = ""

    @property
    def who(self) -> str:
        """Name it for people."""
        return f"the interpreter {self.python}" if self.python else "edged's own interpreter"


@lru_cache(maxsize=16)
def look(python: Path | None = None, root: Path = Path("/")) -> Interpreter:
    """Ask it, once for each; one that does not answer has nothing."""
    found = versions(python, (*ONNX_DISTRIBUTIONS, *TENSORRT)) or {}
    onnx = {name: found[name] for name in ONNX_DISTRIBUTIONS if name in found}
    packaged = next((found[name] for name in TENSORRT if name in found), "")
    return Interpreter(python, onnx, packaged or _system_tensorrt(Tree(root)))


def versions(python: Path | None, names: Sequence[str]) -> dict[str, str] | None:
    """Give the versions of those distributions that an interpreter has; None is edged's own, and the answer of one that gives none."""
    if python is not None:
        return _asked(python, names)
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _asked(python: Path, names: Sequence[str]) -> dict[str, str] | None:
    command = [str(python), "-I", "-c", LISTING, *names]
    try:
        done = subprocess.run(command, capture_output=True, timeout=ANSWER_S, check=True, stdin=subprocess.DEVNULL)  # noqa: S603 - the interpreter that the configuration names
        return {str(name): str(version) for name, version in json.loads(done.stdout).items()}
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError):
        return None


def _system_tensorrt(tree: Tree) -> str:
    """Read the version from the library's own file, ``libnvinfer.so.10.3.0``; the shorter names are links to it."""
    for folder in LIBRARY_FOLDERS:
        for name in tree.matching(folder, r"libnvinfer\.so\.\d+\.\d+(\.\d+)*"):
            return name.partition(".so.")[2]
    return ""
