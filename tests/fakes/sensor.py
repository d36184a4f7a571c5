"""A sensor whose answers are known beforehand: a model of one operator, and recordings in which every window is another.

``y = max(x, 0)``: the reconstruction error of a window of which every sample is ``-k`` is ``k²``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fakes.modelfile import onnx_model, tflite_relu

LENGTH = 64
"""Samples a window: one block of the csv source is one window."""

MANIFEST = """\
name = "{name}"
version = "{version}"
task = "anomaly"
license = "Apache-2.0"

[input]
kind = "window"
length = {length}
stride = {length}
channels = 1

[output]
decoder = "reconstruction"
threshold = {threshold}

[golden]
samples = "golden/"
score_tolerance = 0.01

[[variant]]
id = "fp32"
file = "model.{runtime}"
sha256 = "{sha256}"
runtime = "{runtime}"
precision = "fp32"
layout = "flat"
"""


def sensor_bundle(
    folder: Path,
    *,
    name: str = "level",
    version: str = "1.0.0",
    runtime: str = "tflite",
    threshold: float = 1e9,
    length: int = LENGTH,
    golden: float = 4.0,
) -> Path:
    """Write the bundle into ``folder`` and give it. ``golden`` is what its sample (every value -2) is said to score."""
    (folder / "golden").mkdir(parents=True, exist_ok=True)
    weights = onnx_model(shape=(1, length)) if runtime == "onnx" else tflite_relu((1, length))
    (folder / f"model.{runtime}").write_bytes(weights)
    np.save(folder / "golden" / "first.npy", np.full((length, 1), -2.0, np.float32))
    (folder / "golden" / "first.json").write_text(json.dumps({"anomaly": {"score": golden}}), "utf-8")
    text = MANIFEST.format(
        name=name,
        version=version,
        runtime=runtime,
        threshold=threshold,
        length=length,
        sha256=hashlib.sha256(weights).hexdigest(),
    )
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder


PICTURES = """\
name = "still"
version = "1.0.0"
task = "anomaly"
license = "Apache-2.0"

[input]
kind = "image"
width = 8
height = 8

[output]
decoder = "reconstruction"
threshold = 1.0

[[variant]]
id = "fp32"
file = "model.tflite"
sha256 = "{sha256}"
runtime = "tflite"
precision = "fp32"
"""


def picture_bundle(folder: Path) -> Path:
    """Write a bundle, ``still``, that takes any picture and scores 0."""
    folder.mkdir(parents=True)
    weights = tflite_relu((1, 8, 8, 3))
    (folder / "model.tflite").write_bytes(weights)
    (folder / "model.toml").write_text(PICTURES.format(sha256=hashlib.sha256(weights).hexdigest()), "utf-8")
    return folder


def write_windows(file: Path, levels: Sequence[float], length: int = LENGTH) -> Path:
    """Write a recording of one column in which window ``k`` holds ``-levels[k]`` throughout: it scores ``levels[k]²``."""
    file.write_text("x\n" + "".join(f"{-level}\n" * length for level in levels), "utf-8")
    return file


def csv_source(file: Path, name: str = "spindle", *, rate_hz: float = 1000, more: str = "") -> str:
    """Write the configuration's section."""
    return f'[[source]]\nname = "{name}"\nkind = "csv"\npath = "{file}"\ncolumns = ["x"]\nrate_hz = {rate_hz}\n{more}\n'


def pipeline(name: str, *, source: str = "spindle", model: str = "level", more: str = "") -> str:
    """Write the configuration's section."""
    return f'[[pipeline]]\nname = "{name}"\nsource = "{source}"\nmodel = "{model}"\n{more}\n'
