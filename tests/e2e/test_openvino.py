"""OpenVINO for real, on the processor: in an interpreter of its own, compiled behind the pipelines, kept, and taken over."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.config.share import shipped
from edged.domain.errors import DeviceError
from edged.engines import sandbox
from edged.engines.providers import Setting, providers
from edged.engines.sandbox import Home, Order
from edged.fleet.schemas import AlertDocument, InventoryDocument
from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.modelfile import onnx_model
from fakes.sensor import picture_bundle, pipeline
from fakes.still import still_source
from fakes.subscriber import Subscriber
from fakes.uninstalled import without
from fakes.waiting import until

pytestmark = pytest.mark.slow

PACKAGE = "onnxruntime-openvino==1.24.1"
PYTHONS = ((3, 11), (3, 12), (3, 13))
VARIANT = """
[[variant]]
id = "compiled"
file = "model.onnx"
sha256 = "{sha256}"
runtime = "onnx"
accelerators = ["openvino-cpu"]
precision = "fp32"
"""
PROFILE = """\
name = "with-openvino"
prefer = [{ accelerator = "openvino-cpu", threads = 1 }, { accelerator = "cpu", threads = 1 }]
"""


NOT_THERE = 3
FORBIDDEN = f"""
import ctypes, sys
from pathlib import Path
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    raise SystemExit({NOT_THERE})
from edged.domain.errors import DeviceError
from edged.engines.providers import Setting, providers
from edged.engines.sandbox import Home, Order, open_engine
try:
    open_engine(Order(Path(sys.argv[2]), "onnx", providers=providers("openvino-cpu", Setting())), Home(Path(sys.argv[1])))
except DeviceError as error:
    print(error.code, error)
"""
"""As systemd's MemoryDenyWriteExecute does it (prctl(2), PR_SET_MDWE)."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an interpreter with the package and this one's NumPy, or skip with the reason."""
    if platform.machine() != "x86_64" or sys.version_info[:2] not in PYTHONS:
        pytest.skip(f"needs Python 3.11 to 3.13 on x86-64: {PACKAGE} has no wheel for another")
    folder = tmp_path_factory.mktemp("openvino") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    made = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", made, "install", "-q", "--no-deps", "--retries", "1", PACKAGE]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        without(PACKAGE, made, done.stderr)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / "numpy.pth").write_text(f"{sysconfig.get_path('platlib')}\n")
    return made


def _file(name: str = "small-fp32.onnx") -> Path:
    return shipped("models") / "parts" / name


def test_it_answers_as_the_processor_does_and_keeps_what_it_compiled(python: Path, tmp_path: Path) -> None:
    order = Order(_file(), "onnx", providers=providers("openvino-cpu", Setting(cache=tmp_path)))
    compiled = sandbox.open_engine(order, Home(python=python))
    here = sandbox.open_engine(Order(_file(), "onnx"))
    picture = np.random.default_rng(7).uniform(-1, 1, here.inputs[0].shape).astype(np.float32)
    for mine, its in zip(here.infer([picture]), compiled.infer([picture]), strict=True):
        assert np.allclose(mine, its, atol=2e-3)
    assert list(tmp_path.glob("*.blob"))
    compiled.close()
    here.close()


@pytest.mark.skipif(
    any(Path("/dev").glob("dri/renderD*")), reason="needs a machine without graphics that OpenVINO drives"
)
@pytest.mark.parametrize(("accelerator", "device"), [("openvino", "GPU"), ("openvino-npu", "NPU")])
def test_a_device_that_does_not_start_is_said_and_not_replaced_by_the_processor_in_silence(
    python: Path, accelerator: str, device: str
) -> None:
    order = Order(_file(), "onnx", providers=providers(accelerator, Setting()))
    with pytest.raises(DeviceError, match=rf"took CPUExecutionProvider .*: \[OpenVINO\] Device {device}") as caught:
        sandbox.open_engine(order, Home(python=python)).close()
    assert caught.value.code == "provider-failed"


def test_where_a_unit_forbids_code_that_is_made_at_run_time_that_is_the_reason(python: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, python, _file()], capture_output=True, text=True, check=False
    )
    if done.returncode == NOT_THERE:
        pytest.skip("needs a kernel with PR_SET_MDWE, 6.3 or newer")
    assert done.stdout.startswith("code-forbidden cannot run small-fp32.onnx"), done.stderr
    assert "MemoryDenyWriteExecute=no" in done.stdout


def test_a_daemon_compiles_behind_its_pipeline_takes_over_and_has_it_at_the_next_start(
    python: Path, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    file = _box(tmp_path, broker.port, python)
    daemon = run(file)
    until(lambda: fleet.of("result/a"), "a result", 60)
    assert fleet.of("result/a")[0]["model"]["accelerator"] == "cpu"
    until(lambda: "compil" in _rung(fleet).get("reason", ""), "the reason in the inventory")
    assert _rung(fleet)["verdict"] == "refused"

    until(lambda: fleet.last("result/a")["model"]["accelerator"] == "openvino-cpu", "the compiled model", 60)

    codes = [alert["code"] for alert in fleet.of("alert")]
    assert codes[:2] == ["engine-building", "engine-built"]
    until(lambda: _rung(fleet)["verdict"] == "chosen", "the inventory")
    assert _rung(fleet)["figures"]["runs"] == 30
    assert {one["status"] for one in fleet.of("result/a")} == {"ok"}
    assert daemon.stop()[0] == 0
    for alert in fleet.of("alert"):
        AlertDocument.model_validate(alert)
    InventoryDocument.model_validate(fleet.last("inventory"))
    said = json.loads(edged("explain", "still", "--config", file, "--json").out)
    assert (said["variants"][0]["id"], said["variants"][0]["verdict"]) == ("compiled", "chosen")

    before = len(fleet.of("result/a"))
    again = run(file)
    until(lambda: len(fleet.of("result/a")) > before, "a result of the second start", 60)
    assert fleet.of("result/a")[before]["model"]["accelerator"] == "openvino-cpu"
    assert [alert["code"] for alert in fleet.of("alert")].count("engine-building") == 1
    assert again.stop()[0] == 0


def _rung(fleet: Subscriber) -> dict[str, Any]:
    (ladder,) = fleet.last("inventory").get("models") or [{"variants": []}]
    return next((one for one in ladder["variants"] if one["id"] == "compiled"), {})


def _box(folder: Path, port: int, python: Path) -> Path:
    bundle, weights = picture_bundle(folder / "models" / "still"), onnx_model(shape=(1, 8, 8, 3))
    (bundle / "model.onnx").write_bytes(weights)
    with (bundle / "model.toml").open("a", encoding="utf-8") as manifest:
        manifest.write(VARIANT.format(sha256=hashlib.sha256(weights).hexdigest()))
    (folder / "profiles").mkdir()
    (folder / "profiles" / "with-openvino.toml").write_text(PROFILE, encoding="utf-8")
    more = f'[profiles]\ndirectories = ["{folder / "profiles"}"]\n[engine.openvino]\npython = "{python}"\n'
    body = still_source(folder / "pictures", fps=10) + pipeline("a", source="dock", model="still")
    file = write_config(folder, port, body, more=more)
    text = file.read_text("utf-8").replace("[models]\n", '[models]\nmeasure = "off"\n')
    file.write_text(text.replace('id = "press-07"', 'id = "press-07"\nprofile = "with-openvino"'), "utf-8")
    return file
