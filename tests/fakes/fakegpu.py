"""A GPU that does what a test says: an interpreter of its own with an ONNX Runtime that claims to drive one."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import sysconfig
import venv
from pathlib import Path

from edged.domain.device import Accelerator, Cpu, Evidence, Inventory, Memory
from fakes.sensor import sensor_bundle

PACKAGE = Path(__file__).with_name("gpu") / "onnxruntime"
VERSION = "1.20.0"


class FakeGpu:
    """``say`` makes it behave so from its next session on, see gpu/onnxruntime/__init__.py."""

    def __init__(self, folder: Path) -> None:
        self._word = folder / "word"
        self.python = folder / "venv" / "bin" / "python"
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = folder / "venv" / "lib" / version / "site-packages"
        (packages / "onnxruntime").symlink_to(PACKAGE)
        info = packages / f"onnxruntime_gpu-{VERSION}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: {VERSION}\n")
        # NumPy, and what the real runtime imports.
        (packages / "others.pth").write_text(f"{sysconfig.get_path('platlib')}\n")
        self.say("ok")

    @property
    def env(self) -> dict[str, str]:
        spec = importlib.util.find_spec("onnxruntime")
        assert spec is not None
        assert spec.origin is not None
        return {"FAKE_GPU": str(self._word), "FAKE_GPU_REAL": str(Path(spec.origin).parent)}

    def say(self, word: str) -> None:
        self._word.write_text(word)

    def config(self) -> str:
        """Give the sections that name it."""
        return f'[engine.tensorrt]\npython = "{self.python}"\n[engine.cuda]\npython = "{self.python}"\n'


def inventory(bus: str = "soc", name: str = "NVIDIA integrated GPU (Tegra234, compute capability 8.7)") -> Inventory:
    """Give a box that has one."""
    evidence = (Evidence("proc/driver/nvidia/version", "NVRM version: 540.4.0"),)
    gpu = Accelerator("nvidia-gpu", bus, usable=True, state="ready", reason="", name=name, evidence=evidence)
    return Inventory("Orin", "Tegra234", "aarch64", (), Cpu(2, 2.0, ()), Memory(8000, None), (gpu,), ())


VARIANTS = """
[[variant]]
id = "half"
file = "model.onnx"
sha256 = "{sha256}"
runtime = "onnx"
accelerators = ["tensorrt"]
precision = "fp16"
layout = "flat"

[[variant]]
id = "whole"
file = "model.onnx"
sha256 = "{sha256}"
runtime = "onnx"
accelerators = ["cuda"]
precision = "fp32"
layout = "flat"
"""


def gpu_bundle(folder: Path) -> Path:
    """Write the bundle ``level`` with a variant for TensorRT (``half``), one for CUDA (``whole``) and one for the CPU (``fp32``)."""
    sensor_bundle(folder, runtime="onnx")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    with (folder / "model.toml").open("a", encoding="utf-8") as manifest:
        manifest.write(VARIANTS.format(sha256=digest))
    return folder
