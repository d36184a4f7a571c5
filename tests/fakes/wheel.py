"""The wheel as users get it, built from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def sealed(arguments: Sequence[str | Path]) -> None:
    """Run a program that fetches nothing."""
    done = subprocess.run(
        [*map(str, arguments)],
        cwd="/",
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def build_wheel(folder: Path) -> Path:
    """Build the wheel into ``folder`` and give it, or skip where there is nothing to build it with."""
    pytest.importorskip("build", reason="needs build (extra `dev`)")
    pytest.importorskip("hatchling", reason="needs hatchling")
    sealed([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, CHECKOUT])
    (wheel,) = folder.glob("edged-*.whl")
    return wheel


def installed(package: Path, folder: Path) -> Path:
    """Install a package of the checkout into ``folder``, for PYTHONPATH, and give that; skip where there is nothing to build it with."""
    pytest.importorskip("hatchling", reason="needs hatchling")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    sealed([*pip, "--target", folder, package])
    return folder
