"""An installed tflite-runtime, in an environment of its own: accepted, told as degraded, and right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.config.share import shipped
from edged.domain.bundle import Bundle, Variant
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Anomaly, Classes, Output
from edged.domain.tensor import Array
from edged.engines import tflite
from edged.pipeline import preprocess
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.binding import Binding
from edged.pipeline.resize import opencv
from fakes.assetbundle import load, materialise
from fakes.brokers import mosquitto
from fakes.daemon import DaemonProcess, edged, write_config
from fakes.sensor import pipeline
from fakes.subscriber import Subscriber
from fakes.uninstalled import without
from fakes.waiting import until
from fakes.wheel import CHECKOUT, build_wheel

pytestmark = pytest.mark.slow

NEWEST_PYTHON = (3, 11)
ASK = """
import sys
from pathlib import Path
import numpy as np
from edged.engines.tflite import open_engine
engine = open_engine(Path(sys.argv[1]), threads=1)
assert engine.runtime == "tflite-runtime", engine
(answer,) = engine.infer([np.load(sys.argv[2])])
np.save(sys.argv[3], answer)
"""
STAMP = Stamp(0, 0, 0, 0.0)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install ``edged[tflite-runtime]`` and nothing else; gives the interpreter."""
    if sys.version_info[:2] > NEWEST_PYTHON:
        pytest.skip("needs Python 3.11 or older: tflite-runtime has no wheel for a newer one")
    folder = tmp_path_factory.mktemp("tflite-runtime")
    wheel = build_wheel(folder / "dist")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    made = folder / "venv" / "bin" / "python"
    _install(made, f"edged[tflite-runtime] @ {wheel.as_uri()}", _constraints(folder))
    return made


def _constraints(folder: Path) -> Path:
    """Give the versions that the tests run with, but for NumPy: the old runtime needs 1."""
    lines = (CHECKOUT / "constraints.txt").read_text().splitlines()
    file = folder / "constraints.txt"
    file.write_text("\n".join(line for line in lines if not line.startswith("numpy=")))
    return file


def _install(python: Path, what: str, constraints: Path) -> None:
    options = ("--retries", "1", "--only-binary", ":all:", "--constraint", constraints)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *options, what],
        # What a search path shows of edged must not count as installed.
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        without("tflite-runtime 2.14.0 and NumPy 1", python, done.stderr)


@pytest.fixture
def numpy_2(tmp_path: Path) -> dict[str, str]:
    """Give the environment variables with which an interpreter finds the NumPy of the tests before its own."""
    if np.__version__.startswith("1."):
        pytest.skip("needs NumPy 2")
    site = Path(sysconfig.get_path("platlib"))
    folder = tmp_path / "newer"
    folder.mkdir()
    for part in (*site.glob("numpy"), *site.glob("numpy.libs"), *site.glob("numpy-*.dist-info")):
        (folder / part.name).symlink_to(part)
    return {"PYTHONPATH": str(folder)}


def _program(python: Path) -> tuple[str]:
    return (str(python.with_name("edged")),)


def test_hardware_reports_it_as_degraded_with_the_remedy(python: Path) -> None:
    said = edged("hardware", "--json", program=_program(python))

    assert (said.status, said.err) == (0, "")
    document = json.loads(said.out)
    (runtime,) = document["runtimes"]
    assert (runtime["distribution"], runtime["version"], runtime["degraded"]) == ("tflite-runtime", "2.14.0", True)
    assert runtime["note"] == "about 13 times slower than ai-edge-litert on uint8 models: install ai-edge-litert"
    assert "degraded-runtime" in {warning["code"] for warning in document["warnings"]}


def test_it_gives_the_answers_of_litert_on_the_shipped_vibration_model(python: Path, tmp_path: Path) -> None:
    bundle = load(shipped("models") / "vibration")
    variant = _variant(bundle, "tflite-int8")
    for sample in sorted((bundle.folder / "golden").glob("*.npy")):
        ours, theirs = _both(bundle, variant, np.load(sample), python, tmp_path)
        assert isinstance(ours, Anomaly)
        assert isinstance(theirs, Anomaly)
        # Scores run from 0.7 to some tens around a threshold of about 2: a share of them says more than a fixed difference.
        assert theirs.score == pytest.approx(ours.score, rel=0.01)
        assert theirs.is_anomaly == ours.is_anomaly


@pytest.mark.assets
@pytest.mark.parametrize("picture", ["orange.png", "parrot.jpg", "burger.jpg"])
def test_it_gives_the_answers_of_litert_on_a_real_classifier(
    python: Path, assets: Path, tmp_path: Path, picture: str
) -> None:
    bundle = load(materialise("mobilenet-v1", assets, tmp_path))
    frame = cv2.imread(str(assets / "images" / picture), cv2.IMREAD_COLOR)
    assert frame is not None

    ours, theirs = _both(bundle, _variant(bundle, "int8-128"), frame, python, tmp_path)

    assert isinstance(ours, Classes)
    assert isinstance(theirs, Classes)
    assert theirs.items[0].label == ours.items[0].label
    # Each runtime rounds in its own way: some steps of 1/256.
    assert theirs.items[0].score == pytest.approx(ours.items[0].score, abs=0.02)


def test_results_name_the_runtime_that_gave_them(python: Path, tmp_path: Path) -> None:
    recording = shipped("models") / "vibration" / "demo" / "fan.csv"
    source = f'[[source]]\nname = "fan"\nkind = "csv"\npath = "{recording}"\ncolumns = ["x", "y", "z"]\ntime = "t"\n'
    broker = mosquitto(tmp_path)
    fleet = Subscriber(broker.port)
    bearing = pipeline("bearing", source="fan", model="vibration", more="calibrate_s = 11")
    config = write_config(tmp_path, broker.port, source + bearing)
    daemon = DaemonProcess(config, program=_program(python)).start()
    try:
        assert daemon.wait() == 0
        until(lambda: fleet.last("status").get("state") == "offline", "offline")
    finally:
        daemon.close()
        fleet.close()
        broker.close()
    told = fleet.of("result/bearing")
    assert {result["model"]["runtime"] for result in told} == {"tflite-runtime"}
    assert {result["anomaly"]["is_anomaly"] for result in told if result["status"] == "ok"} == {True, False}


def test_beside_numpy_2_it_is_refused_with_the_remedy(python: Path, numpy_2: dict[str, str], tmp_path: Path) -> None:
    model = shipped("models") / "vibration" / "int8.tflite"

    done = _ask(python, model, tmp_path / "x.npy", tmp_path / "y.npy", numpy_2)

    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("edged.domain.errors.DeviceError: cannot start tflite-runtime: ")
    assert line.endswith(f"expected a runtime that fits NumPy {np.__version__}; install edged[tflite], or numpy<2")
    said = edged("hardware", "--json", program=_program(python), env=numpy_2)
    (runtime,) = json.loads(said.out)["runtimes"]
    assert runtime["note"].endswith(f"does not work with NumPy {np.__version__}: install ai-edge-litert, or numpy<2")


def _variant(bundle: Bundle, name: str) -> Variant:
    return next(variant for variant in bundle.manifest.variant if variant.id == name)


def _both(bundle: Bundle, variant: Variant, values: Array, python: Path, folder: Path) -> tuple[Output, Output]:
    """Give LiteRT's answer and tflite-runtime's, each decoded from the runtime's own tensor."""
    engine = tflite.open_engine(bundle.path_of(variant), threads=1)
    assert engine.runtime == "litert"
    frame = Frame(values, STAMP)
    model_input, output = bundle.input_of(variant), bundle.output_of(variant)
    tensors = preprocess.build(model_input, engine.inputs[0], variant.layout, opencv())(frame)
    labels = tuple((bundle.folder / output.labels).read_text().splitlines()) if output.labels else ()
    decoder = registry.bind(Binding(output, model_input, engine.inputs, engine.outputs, labels))
    np.save(folder / "x.npy", tensors[0])
    done = _ask(python, bundle.path_of(variant), folder / "x.npy", folder / "y.npy", {})
    assert done.returncode == 0, done.stderr
    theirs = [np.load(folder / "y.npy")]
    return decoder.decode(engine.infer(tensors), tensors, frame), decoder.decode(theirs, tensors, frame)


def _ask(python: Path, model: Path, x: Path, y: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-c", ASK, model, x, y],
        cwd="/",
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
