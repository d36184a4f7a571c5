"""A V4L2 device for another process, through umockdev."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fakes.testbed import PRELOAD, PYTHON


class MockedCamera:
    """``/dev/video0`` of a program that runs with ``env``: its calls are answered by ``Webcam`` in a process of umockdev's."""

    def __init__(self) -> None:
        wrapper = shutil.which("umockdev-wrapper")
        if wrapper is None:
            pytest.skip("needs umockdev: install the packages umockdev and gir1.2-umockdev-1.0")
        pipe = subprocess.PIPE
        command = [wrapper, PYTHON, str(Path(__file__).with_name("v4l2_bed.py"))]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self._process.stdout is not None
        root = self._process.stdout.readline().strip()
        if not root:
            _, error = self._process.communicate(timeout=10)
            pytest.skip(f"needs umockdev's testbed and its bindings for {PYTHON}: {error.strip().splitlines()[-1:]}")
        self.env = {"LD_PRELOAD": PRELOAD, "UMOCKDEV_DIR": root}

    def close(self) -> None:
        self._process.communicate(timeout=10)
