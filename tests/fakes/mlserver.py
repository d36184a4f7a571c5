"""Another project's server of the Open Inference Protocol: MLServer, in an interpreter of its own, on a model of a few lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from pathlib import Path

import pytest

from fakes.brokers import free_port
from fakes.waiting import until

PACKAGES = ("mlserver==1.7.1", "uvloop<0.22")
"""MLServer makes its loop as newer uvloops no longer let it."""
GIVEN = "EDGED_MLSERVER"
"""Names a Python that has them already: installing takes its time."""
MODEL = """\
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Relu(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        given = NumpyCodec.decode_input(payload.inputs[0])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", np.maximum(given, 0))])
"""


def interpreter(folder: Path) -> Path:
    """Give a Python with MLServer, or skip with the reason."""
    if given := os.environ.get(GIVEN):
        return Path(given)
    python = folder / "bin" / "python"
    venv.create(folder, with_pip=False, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    # What is installed here serves there too: pip brings only what is missing, or of another version.
    (Path(packages) / "tests.pth").write_text(sysconfig.get_path("purelib"))
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile", *PACKAGES]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs {' and '.join(PACKAGES)}: pip says {done.stderr.strip().splitlines()[-1:]}")
    return python


class MlServer:
    """Serves ``y = max(x, 0)`` of (1, length) as ``name``. ``start`` and ``kill`` as often as a test likes."""

    def __init__(self, python: Path, folder: Path, name: str, length: int) -> None:
        self.port = free_port()
        self._command = [python, "-m", "mlserver.cli.main", "start", folder]
        self._folder, self._process = folder, None
        tensors = [{"name": name, "datatype": "FP32", "shape": [-1, length]} for name in ("x", "y")]
        model = {"name": name, "implementation": "relu.Relu", "inputs": tensors[:1], "outputs": tensors[1:]}
        ports = {"http_port": self.port, "grpc_port": free_port(), "metrics_port": free_port()}
        folder.mkdir()
        (folder / "relu.py").write_text(MODEL)
        (folder / "model-settings.json").write_text(json.dumps(model))
        (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "parallel_workers": 0, **ports}))

    _process: subprocess.Popen[bytes] | None

    def start(self) -> MlServer:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(self._folder)},
            )
        until(self._answers, "MLServer is ready", 90)
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
