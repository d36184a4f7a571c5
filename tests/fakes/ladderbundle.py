"""A detector in two network sizes with every kind of variant: its files hold nothing but their own names, and cannot run."""

from __future__ import annotations

import hashlib
from pathlib import Path

HEAD = """\
name = "crates"
version = "1.0.0"
task = "detection"
license = "Apache-2.0"

[input]
kind = "image"
width = 320
height = 320

[output]
decoder = "yolox"
"""

VARIANT = """
[[variant]]
id = "{id}"
file = "{id}.{runtime}"
sha256 = "{sha256}"
runtime = "{runtime}"
accelerators = [{accelerators}]
precision = "{precision}"
layout = "{layout}"
accuracy = {{ metric = "mAP50", value = {accuracy}, on = "holdout" }}
"""

SMALL = """\
[variant.input]
kind = "image"
width = 192
height = 192
"""

GPU = ("cpu", "cuda", "tensorrt", "openvino")
KINDS: dict[str, tuple[str, str, tuple[str, ...], float]] = {
    "tflite-fp32": ("tflite", "fp32", ("cpu",), 0.0),
    "tflite-dynamic": ("tflite", "dynamic", ("cpu",), 0.001),
    "tflite-int8": ("tflite", "int8", ("cpu",), 0.007),
    "edgetpu-int8": ("tflite", "int8", ("edgetpu",), 0.007),
    "onnx-fp32": ("onnx", "fp32", GPU, 0.0),
    "onnx-fp16": ("onnx", "fp16", GPU[1:], 0.001),
    "onnx-int8": ("onnx", "int8", ("cpu",), 0.009),
}
"""Runtime, precision, accelerators, and the accuracy that is lost."""
ACCURACY = {"large": 0.941, "small": 0.902}


def ladder_bundle(folder: Path) -> Path:
    """Write the bundle into ``folder`` and give it."""
    folder.mkdir(parents=True)
    text = HEAD
    for size, accuracy in ACCURACY.items():
        for kind, (runtime, precision, accelerators, lost) in KINDS.items():
            name = f"{size}-{kind}"
            (folder / f"{name}.{runtime}").write_bytes(name.encode())
            text += VARIANT.format(
                id=name,
                sha256=digest(name),
                runtime=runtime,
                precision=precision,
                accelerators=", ".join(f'"{one}"' for one in accelerators),
                layout="nchw" if runtime == "onnx" else "nhwc",
                accuracy=round(accuracy - lost, 3),
            )
            text += SMALL if size == "small" else ""
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder


def digest(variant: str) -> str:
    """Give the digest of a variant's file."""
    return hashlib.sha256(variant.encode()).hexdigest()
