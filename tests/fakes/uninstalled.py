"""A package that pip did not install: a reason to skip where no index can be reached, and a fault where one can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ALWAYS_THERE = "sampleproject"
"""The index's own example: it is wherever an index is, and hardly ever in a folder of wheels."""


def without(what: str, python: Path, said: str) -> NoReturn:
    """Fail with what pip ``said`` of installing ``what`` for ``python``; skip where it can fetch nothing at all."""
    ask = ["install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed", "--retries", "1", ALWAYS_THERE]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, *ask], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"needs {what}: pip reaches no package index, not even for {ALWAYS_THERE}")
    pytest.fail(f"pip reaches a package index, and cannot install {what}: {said}")
