"""Edge TPUs that do what a test says: the library of tests/fakes/edgetpu, built here, and a file for each device."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("edgetpu") / "edgetpu.c"
COMPILED, PLAIN = "mobilenet_v1_0.25_128_quant_edgetpu.tflite", "mobilenet_v1_0.25_128_quant.tflite"

MANIFEST = """\
name = "birds"
version = "1.0.0"
task = "classification"
license = "Apache-2.0"

[input]
kind = "image"
width = 128
height = 128
mean = [127.5]
std = [127.5]

[output]
decoder = "classification"
labels = "imagenet_labels_1001.txt"
"""
VARIANT = """
[[variant]]
id = "{id}"
file = "{file}"
sha256 = "{sha256}"
runtime = "tflite"
accelerators = ["{accelerator}"]
precision = "int8"
layout = "nhwc"
"""
PROFILE = """\
name = "with-edge-tpu"
prefer = [{ accelerator = "edgetpu" }, { accelerator = "cpu", threads = 1 }]
"""


class FakeTpus:
    """A box's Edge TPUs; ``say`` makes one behave from its next call on, see edgetpu.c."""

    def __init__(self, folder: Path, names: Sequence[str] = ("usb:0",)) -> None:
        self.folder, self.names = folder, tuple(names)
        self.library = folder / "libedgetpu.so.1"
        self.devices = folder / "devices"
        self.devices.mkdir(parents=True)
        for name in names:
            self.say("ok", name)
        _build(self.library)

    @property
    def env(self) -> dict[str, str]:
        return {"FAKE_EDGETPU": str(self.devices)}

    def say(self, word: str, name: str = "usb:0") -> None:
        beside = self.folder / "word"
        beside.write_text(f"{word}\n")
        # A file that is locked stays the same file.
        target = self.devices / name.replace(":", "-")
        target.write_text(f"{word}\n") if target.exists() else beside.replace(target)

    def config(self) -> str:
        """Give the section that names them."""
        if not self.names:
            return ""
        return f'[engine.edgetpu]\nlibrary = "{self.library}"\ndevices = {json.dumps(list(self.names))}\n'


def birds(folder: Path, assets: Path) -> Path:
    """Write the bundle ``birds``: variant ``tpu`` for the Edge TPU, ``plain`` for the CPU."""
    folder.mkdir(parents=True)
    text = MANIFEST
    for name, file, accelerator in (("tpu", COMPILED, "edgetpu"), ("plain", PLAIN, "cpu")):
        content = (assets / "models" / file).read_bytes()
        (folder / file).write_bytes(content)
        text += VARIANT.format(id=name, file=file, accelerator=accelerator, sha256=hashlib.sha256(content).hexdigest())
    shutil.copy(assets / "models" / "imagenet_labels_1001.txt", folder)
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder


def profile(folder: Path, more: str = "") -> str:
    """Write a profile that prefers the Edge TPU, and give the sections that choose it (``more`` belongs to the profile)."""
    folder.mkdir(parents=True)
    (folder / "with-edge-tpu.toml").write_text(PROFILE + more, encoding="utf-8")
    return f'[profiles]\ndirectories = ["{folder}"]\n'


def _build(library: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for the delegate that stands for libedgetpu")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)], check=True)
