"""Compiles an int8 TFLite file for the Edge TPU, where Google's compiler is installed: it is closed, and no package brings it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edged.domain.errors import BundleError, DeviceError
from edged.engines.flatbuffer import custom_operators

COMPILER = "edgetpu_compiler"
OPERATOR = "edgetpu-custom-op"
DEADLINE_S = 600
"""The largest models in Google's own list took less than two minutes."""
_COUNTS = re.compile(r"Number of operations that will run on (Edge TPU|CPU): (\d+)")


@dataclass(frozen=True, slots=True)
class Compiled:
    """The file, and how many operators run where; None where the compiler did not say."""

    file: Path
    on_edgetpu: int | None
    on_cpu: int | None


def find_compiler() -> str:
    """Give the compiler's path. Raises DeviceError, with where to get it, when it is not installed."""
    found = shutil.which(COMPILER)
    if found is None:
        message = f"cannot compile for the Edge TPU: {COMPILER} is not on PATH, expected Google's compiler (x86-64 Linux only)"
        remedy = (
            "install it as https://coral.ai/docs/edgetpu/compiler/ says, or leave --edgetpu out, compile the int8 .tflite file where it is "
            "installed, and add the result to the bundle"
        )
        raise DeviceError(message, remedy=remedy, code="compiler-missing")
    return found


def compile_file(compiler: str, file: Path, folder: Path) -> Compiled:
    """Compile ``file`` into ``folder`` as ``NAME_edgetpu.tflite``.

    Raises:
        BundleError: The compiler refuses the file, in its last line, or takes nothing of it to the Edge TPU.
    """
    try:
        done = subprocess.run(
            [compiler, "-s", "-o", str(folder), str(file)],
            capture_output=True,
            check=False,
            text=True,
            timeout=DEADLINE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"cannot compile {file.name} for the Edge TPU: {error}, expected it to end within {DEADLINE_S} s"
        raise BundleError(message) from error
    made = folder / f"{file.stem}_edgetpu.tflite"
    if done.returncode or not made.is_file():
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["nothing was said"]
        message = f"cannot compile {file.name} for the Edge TPU: {said[-1].strip()}, expected a file it takes"
        raise BundleError(message, remedy=f"run {COMPILER} {file.name} by hand to see all that it says")
    if OPERATOR not in custom_operators(made):
        message = f"cannot use {made.name}: the compiler took none of its operators to the Edge TPU, expected some"
        raise BundleError(message, remedy="run the int8 file on the CPU")
    counts = {where: int(count) for where, count in _COUNTS.findall(done.stdout)}
    return Compiled(made, counts.get("Edge TPU"), counts.get("CPU"))
