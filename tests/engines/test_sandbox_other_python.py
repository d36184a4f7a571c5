"""A child in another interpreter: an older Python with tflite-runtime 2.14 and NumPy 1, as Coral's own packages need it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edged.engines import sandbox
from edged.engines.sandbox import Home, Order
from fakes.faketpu import COMPILED, FakeTpus

pytestmark = [pytest.mark.slow, pytest.mark.assets]

VERSIONS = ("3.8", "3.9", "3.10", "3.11")
"""Those that tflite-runtime 2.14 has wheels for, the oldest first."""
PACKAGES = ("tflite-runtime==2.14.0", "numpy<2")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an interpreter with them, or skip with the reason."""
    folder = tmp_path_factory.mktemp("other") / "venv"
    said = "no other interpreter was found"
    for found in _interpreters():
        subprocess.run([found, "-m", "venv", folder, "--clear"], check=True, capture_output=True)
        done = subprocess.run(
            [folder / "bin" / "pip", "install", "-q", *PACKAGES], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return folder / "bin" / "python"
        said = f"pip cannot install them for {found}: {done.stderr.strip().splitlines()[-1:]}"
    pytest.skip(f"needs a second interpreter with {' and '.join(PACKAGES)}: {said}")


def test_the_child_runs_there_and_answers_as_the_runtime_here_does(python: Path, assets: Path) -> None:
    file = assets / "models" / "mobilenet_v1_0.25_224_float.tflite"
    there = sandbox.open_engine(Order(file, "tflite"), Home(python=python))
    here = sandbox.open_engine(Order(file, "tflite"))
    assert there.hello.runtime == "tflite-runtime"
    assert there.hello.numpy.startswith("1.")
    assert there.hello.python != sys.version.split()[0] or there.hello.numpy != here.hello.numpy
    assert there.inputs == here.inputs
    picture = np.random.default_rng(20_260).uniform(-1, 1, here.inputs[0].shape).astype(np.float32)
    assert np.allclose(here.infer([picture])[0], there.infer([picture])[0], atol=1e-4)
    there.close()
    here.close()


def test_a_delegate_runs_there(python: Path, assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tpus = FakeTpus(tmp_path / "tpus")
    monkeypatch.setenv("FAKE_EDGETPU", tpus.env["FAKE_EDGETPU"])
    order = Order(assets / "models" / COMPILED, "tflite", delegate=str(tpus.library), options={"device": "usb:0"})
    engine = sandbox.open_engine(order, Home(python=python))
    assert engine.infer([np.zeros((1, 128, 128, 3), np.uint8)])[0].max() == 255
    engine.close()


def _interpreters() -> list[str]:
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: list[str] = []
    for version in VERSIONS:
        found += [str(one / "bin" / "python") for one in sorted(home.glob(f"{version}.*"))]
        if on_path := shutil.which(f"python{version}"):
            found.append(on_path)
    return found
