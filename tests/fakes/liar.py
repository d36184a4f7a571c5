"""An accelerator that lies on request: a package's engine that answers right until a file says otherwise."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fakes.brought import bring
from fakes.sensor import LENGTH, sensor_bundle

LIE = "EDGED_LIE"
"""Names the file whose presence makes the engine lie."""
LIAR, HONEST = "quick", "fp32"

CODE = f"""
import os
from pathlib import Path

import numpy as np

from edged.domain.tensor import TensorSpec


class Engine:
    runtime = "liar"
    inputs = (TensorSpec("x", (1, {LENGTH}), "float32"),)
    outputs = (TensorSpec("y", (1, {LENGTH}), "float32"),)

    def infer(self, tensors):
        return [tensors[0].copy() if Path(os.environ["{LIE}"]).exists() else np.maximum(tensors[0], 0)]

    def close(self):
        pass


def made(file, *, threads, accelerator):
    return Engine()
"""

VARIANT = """
[[variant]]
id = "{id}"
file = "quick.npy"
sha256 = "{sha256}"
runtime = "liar"
precision = "{precision}"
layout = "flat"
{more}
"""


def install_liar(folder: Path) -> Path:
    """Install the package that brings the engine; gives the folder for PYTHONPATH."""
    bring(folder, "edged.engines", "liar", CODE)
    return folder


def lying_bundle(folder: Path, *, honest: bool = True) -> Path:
    """Write the bundle ``level`` whose best variant runs on the engine that lies; ``honest`` says whether there is another."""
    manifest = sensor_bundle(folder) / "model.toml"
    np.save(folder / "quick.npy", np.zeros(1, np.float32))
    digest = hashlib.sha256((folder / "quick.npy").read_bytes()).hexdigest()
    head, variant = manifest.read_text("utf-8").split("[[variant]]", 1)
    accuracy = 'accuracy = {{ metric = "AUC", value = {value}, on = "holdout" }}\n'
    best = VARIANT.format(id=LIAR, sha256=digest, precision="int8", more=accuracy.format(value=0.99))
    other = f"[[variant]]{variant}{accuracy.format(value=0.9)}" if honest else ""
    manifest.write_text(head + best + other, "utf-8")
    return folder
