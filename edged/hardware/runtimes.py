"""Which inference runtimes are installed, read from package metadata: nothing is imported to find out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from edged.domain.device import Evidence, Finding

ONNX_DISTRIBUTIONS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
    "onnxruntime-migraphx",
)
"""They all install the package ``onnxruntime``: the last one installed wins, and removing one breaks the other."""
_OLD_TFLITE = "tflite-runtime"


@dataclass(frozen=True, slots=True)
class InstalledRuntime:
    """A runtime's package; ``degraded`` says that a better one exists, ``note`` why."""

    runtime: Literal["tflite", "onnx"]
    distribution: str
    version: str
    degraded: bool = False
    note: str = ""


def installed_runtimes() -> tuple[InstalledRuntime, ...]:
    """List the runtimes of this interpreter, best first."""
    found = []
    litert = _version("ai-edge-litert")
    if litert is not None:
        found.append(InstalledRuntime("tflite", "ai-edge-litert", litert))
    old = _version(_OLD_TFLITE)
    if old is not None:
        note = old_tflite_note(_version("numpy"), is_second=litert is not None)
        found.append(InstalledRuntime("tflite", _OLD_TFLITE, old, degraded=True, note=note))
    for name in ONNX_DISTRIBUTIONS:
        version = _version(name)
        if version is not None:
            found.append(InstalledRuntime("onnx", name, version))
    return tuple(found)


def old_tflite_note(numpy: str | None, *, is_second: bool) -> str:
    """Say what is wrong with tflite-runtime beside this NumPy: it breaks when an interpreter is made, not at import."""
    if is_second:
        return "unused: ai-edge-litert is installed and preferred"
    slow = "about 13 times slower than ai-edge-litert on uint8 models"
    if numpy is not None and not numpy.startswith(("0.", "1.")):
        return f"{slow}; it does not work with NumPy {numpy}: install ai-edge-litert, or numpy<2"
    return f"{slow}: install ai-edge-litert"


def runtime_findings(runtimes: Sequence[InstalledRuntime]) -> Iterator[Finding]:
    """Warn of packages that overwrite each other, and of a runtime that a better one replaces."""
    onnx = [found for found in runtimes if found.runtime == "onnx"]
    if len(onnx) > 1:
        names = " and ".join(found.distribution for found in onnx)
        remedy = (
            f"{names} share the import name onnxruntime: pip uninstall all of them, then install the one that you need"
        )
        yield Finding("two-onnxruntimes", tuple(_evidence(found) for found in onnx), remedy)
    tflite = [found for found in runtimes if found.runtime == "tflite"]
    if tflite and all(found.degraded for found in tflite):
        yield Finding("degraded-runtime", tuple(_evidence(found) for found in tflite), tflite[0].note)


def _evidence(found: InstalledRuntime) -> Evidence:
    return Evidence(f"distribution {found.distribution}", found.version)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
