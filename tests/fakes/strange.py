"""A runtime that a package brings, and that does in its child what a test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.brought import bring
from fakes.sensor import sensor_bundle
from fakes.shop import named

_ENGINE = """
import ctypes, os, signal, socket, sys, time
import numpy as np
from edged.domain.errors import BundleError
from edged.domain.tensor import TensorSpec

class Engine:
    runtime = "strange"
    inputs = (TensorSpec("x", (1, 64), "float32"),)
    outputs = (TensorSpec("y", (1, 64), "float32"),)
    calls = 0
    kept = []
    def infer(self, tensors):
        self.calls += 1
        answer = np.maximum(tensors[0], 0)
        {infer}
        return [answer]
    def close(self):
        pass

def made(file, *, threads, accelerator):
    {opens}
    return Engine()
"""


def strange_engine(*, opens: str = "pass", infer: str = "pass") -> str:
    """Give a module's code. ``opens`` and ``infer`` are statements; the latter sees ``self.calls``, ``self.kept`` and ``answer``."""
    return _ENGINE.format(opens=opens, infer=infer)


def strange_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch, **does: str) -> Path:
    """Install it below ``folder``, and give a bundle that wants it."""
    monkeypatch.syspath_prepend(str(folder / "packages"))
    bring(folder / "packages", "edged.engines", "strange", strange_engine(**does))
    return named(sensor_bundle(folder / "level"), tflite="strange")
