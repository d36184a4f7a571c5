"""A live line of pictures in which nothing moves, on a model of two variants of which one was measured to be lighter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edged.assembly.box import survey
from edged.control.figures import to_document
from edged.domain.figures import Figures
from fakes.modelfile import onnx_model
from fakes.sensor import picture_bundle
from fakes.twovariants import figures_on

LIGHT, HEAVY = "fp32", "large"
FIGURES = {LIGHT: Figures(1, 100, 2.0, 3.0, 2.0, 5.0, 10.0), HEAVY: Figures(1, 100, 8.0, 10.0, 8.0, 5.0, 40.0)}
"""The heavy one is the more accurate one."""
ACCURACY = 'accuracy = {{ metric = "AUC", value = {value}, on = "holdout" }}\n'
HEAVIER = (
    '\n[[variant]]\nid = "large"\nfile = "large.onnx"\nsha256 = "{sha256}"\nruntime = "onnx"\nprecision = "fp32"\n'
)


def still_bundle(folder: Path, state: Path, profile: str = "auto", profiles: Sequence[Path] = ()) -> Path:
    """Write the bundle ``still`` with both variants, and their figures into the state of a box like this one."""
    manifest = picture_bundle(folder) / "model.toml"
    weights = onnx_model(shape=(1, 8, 8, 3))
    (folder / "large.onnx").write_bytes(weights)
    light = manifest.read_text("utf-8") + ACCURACY.format(value=0.90)
    heavy = HEAVIER.format(sha256=hashlib.sha256(weights).hexdigest()) + ACCURACY.format(value=0.99)
    manifest.write_text(light + heavy, "utf-8")
    state.mkdir(exist_ok=True)
    measured = figures_on(survey(Path("/"), profile, profiles), folder, {name: (row,) for name, row in FIGURES.items()})
    (state / "benchmarks.json").write_text(json.dumps(to_document(measured)), "utf-8")
    return folder


def still_source(folder: Path, *, fps: int = 50, name: str = "dock") -> str:
    """Write one picture, and the section of a source that shows it for ever."""
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "a.png"), np.zeros((48, 64, 3), np.uint8))
    return f'[[source]]\nname = "{name}"\nkind = "images"\npath = "{folder}"\nloop = true\nfps = {fps}\n'
