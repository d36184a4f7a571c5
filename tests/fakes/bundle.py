"""A small bundle on disk: whole, with a file that no runtime has to understand."""

from __future__ import annotations

import hashlib
from pathlib import Path

MANIFEST = """\
name = "{name}"
version = "{version}"
task = "classification"
license = "Apache-2.0"

[input]
kind = "image"
width = 8
height = 8

[output]
decoder = "classification"
labels = "labels.txt"

[[variant]]
id = "int8"
file = "int8.tflite"
sha256 = "{sha256}"
runtime = "tflite"
precision = "int8"

[golden]
samples = "golden/"

[drift]
reference = "drift.npz"
"""


def make_bundle(folder: Path, *, name: str = "parts", version: str = "1.0.0", weights: bytes = b"weights") -> Path:
    """Write a bundle into ``folder`` and give it."""
    (folder / "golden" / "first").mkdir(parents=True, exist_ok=True)
    (folder / "int8.tflite").write_bytes(weights)
    (folder / "labels.txt").write_text("washer\nnut\n", encoding="utf-8")
    (folder / "golden" / "first" / "sample.json").write_text("{}", encoding="utf-8")
    (folder / "drift.npz").write_bytes(b"reference")
    text = MANIFEST.format(name=name, version=version, sha256=hashlib.sha256(weights).hexdigest())
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder
