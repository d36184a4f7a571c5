"""A sensor's bundle of two variants that really run, and figures of them, written to order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from edged.assembly.box import Box, runtime_versions
from edged.config.read import read_toml
from edged.control.figures import HERE
from edged.domain.figures import Figures, Measured, Subject
from fakes.modelfile import onnx_model
from fakes.sensor import LENGTH, sensor_bundle

FAST, SLOW = "fp32", "large"
"""The variants' ids: the slow one is the more accurate one, and of the other runtime."""

ACCURACY = 'accuracy = {{ metric = "AUC", value = {value}, on = "holdout" }}\n'
LARGE = """
[[variant]]
id = "{id}"
file = "large.onnx"
sha256 = "{sha256}"
runtime = "onnx"
precision = "fp32"
layout = "flat"
"""


def two_variants(folder: Path) -> Path:
    """Write the bundle ``level`` and give its folder."""
    manifest = sensor_bundle(folder) / "model.toml"
    weights = onnx_model(shape=(1, LENGTH))
    (folder / "large.onnx").write_bytes(weights)
    fast = manifest.read_text("utf-8") + ACCURACY.format(value=0.90)
    slow = LARGE.format(id=SLOW, sha256=hashlib.sha256(weights).hexdigest()) + ACCURACY.format(value=0.99)
    manifest.write_text(fast + slow, "utf-8")
    return folder


def figures_on(box: Box, bundle: Path, rows: Mapping[str, Sequence[Figures]]) -> tuple[Measured, ...]:
    """Give figures, by variant id, as the box would have measured them."""
    versions = runtime_versions(box)
    return tuple(
        Measured(
            Subject(one["sha256"], one["runtime"], versions[one["runtime"]], "cpu", box.profile.name),
            tuple(rows[one["id"]]),
            HERE,
            "2026-11-21T12:00:00Z",
        )
        for one in read_toml(bundle / "model.toml")["variant"]
        if one["id"] in rows
    )
