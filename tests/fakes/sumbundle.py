"""A bundle whose model remembers: it adds up what it is given, in ONNX."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fakes.modelfile import onnx_accumulator

MANIFEST = """\
name = "sum"
version = "1.0.0"
task = "regression"
license = "Apache-2.0"

[input]
kind = "window"
length = 1
stride = 1
channels = 2

[output]
decoder = "regression"

[golden]
samples = "golden/"

[[variant]]
id = "fp32"
file = "sum.onnx"
sha256 = "{sha256}"
runtime = "onnx"
precision = "fp32"
layout = "flat"
"""
STATE = '\n[[state]]\noutput = "next"\ninput = "state"\n'
OF_THE_VARIANT = '\n[[variant.state]]\noutput = "next"\ninput = "state"\n'


def sum_bundle(folder: Path, state: str = STATE) -> Path:
    """Write it; one window has one sample of two channels."""
    (folder / "golden").mkdir(parents=True)
    content = onnx_accumulator()
    (folder / "sum.onnx").write_bytes(content)
    for name in ("one", "two"):
        np.save(folder / "golden" / f"{name}.npy", np.array([[1, 2]], np.float32))
        values = '{"values": [{"label": "0", "value": 1}, {"label": "1", "value": 2}]}'
        (folder / "golden" / f"{name}.json").write_text(values)
    (folder / "model.toml").write_text(MANIFEST.format(sha256=hashlib.sha256(content).hexdigest()) + state)
    return folder
