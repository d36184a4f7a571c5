from __future__ import annotations

from pathlib import Path

import pytest

from edged.assembly.compiling import Compiling
from edged.config.schema import EngineConfig
from edged.domain.device import Accelerator
from edged.hardware.interpreters import Interpreter
from fakes.box import accelerator, bundle, inventory, variant

CPU_ONLY = Interpreter(None, {"onnxruntime": "1.31.1"})
GPU = Interpreter(Path("/opt/gpu/bin/python3"), {"onnxruntime-gpu": "1.23.0"}, "10.3.0")
OPENVINO = Interpreter(None, {"onnxruntime-openvino": "1.24.1"})
MODEL = bundle(variant("a", runtime="onnx", precision="fp16", accelerators=["cuda", "tensorrt", "openvino-cpu", "cpu"]))


def compiling(state: Path, there: Interpreter, *found: Accelerator, **settings: str) -> Compiling:
    engines = {name: EngineConfig.model_validate({"python": python}) for name, python in settings.items()}
    return Compiling(inventory(*found), engines, state, lambda _python: there)


def test_an_accelerator_without_a_package_is_idle_and_says_what_would_drive_it(tmp_path: Path) -> None:
    (finding,) = compiling(tmp_path, CPU_ONLY, accelerator("nvidia-gpu")).idle()
    assert finding.code == "accelerator-idle"
    assert finding.remedy == (
        "nvidia-gpu needs onnxruntime-gpu: edged's own interpreter has onnxruntime 1.31.1; "
        "install edged[onnx-gpu] there, instead of any other onnxruntime"
    )


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (GPU, accelerator("nvidia-gpu")),
        (CPU_ONLY, accelerator("nvidia-gpu", usable=False)),
        (CPU_ONLY, accelerator("edgetpu")),
    ],
    ids=["driven", "not usable", "another runtime's"],
)
def test_no_other_is_idle(tmp_path: Path, there: Interpreter, found: Accelerator) -> None:
    assert list(compiling(tmp_path, there, found).idle()) == []


def test_only_what_is_there_and_driven_is_compiled_for(tmp_path: Path) -> None:
    assert compiling(tmp_path, GPU, accelerator("nvidia-gpu")).accelerators == ("tensorrt",)
    assert compiling(tmp_path, GPU).accelerators == ()
    assert compiling(tmp_path, OPENVINO).accelerators == ("openvino-cpu",)


def test_cuda_needs_its_package_alone_and_tensorrt_its_engine_too(tmp_path: Path) -> None:
    unready = compiling(tmp_path, GPU, accelerator("nvidia-gpu")).unready(MODEL)
    assert unready.keys() == {("a", "tensorrt"), ("a", "openvino-cpu")}
    assert unready["a", "tensorrt"].startswith("is not compiled for nvidia-gpu yet")
    assert unready["a", "openvino-cpu"].startswith("needs onnxruntime-openvino")


def test_the_key_has_the_versions_the_device_and_the_precision(tmp_path: Path) -> None:
    key = compiling(tmp_path, GPU, accelerator("nvidia-gpu")).key(MODEL.manifest.variant[0], "tensorrt")
    assert (key.runtime, key.device) == ("onnxruntime-gpu 1.23.0, tensorrt 10.3.0", "nvidia-gpu")
    assert (key.precision, key.accelerator) == ("fp16", "tensorrt")


def test_a_family_shares_its_section_unless_a_member_has_its_own(tmp_path: Path) -> None:
    there = compiling(tmp_path, OPENVINO, **{"openvino": "/a/python", "openvino-npu": "/b/python"})
    assert str(there.settings("openvino-cpu").python) == "/a/python"
    assert str(there.settings("openvino-npu").python) == "/b/python"
    assert set(there.elsewhere) == {"openvino", "openvino-npu", "openvino-cpu"}


def test_what_hinders_it_is_told_until_it_does_not(tmp_path: Path) -> None:
    there = compiling(tmp_path, OPENVINO)
    key = there.key(MODEL.manifest.variant[0], "openvino-cpu")
    there.hindered(key, "the box is throttled")
    there.hindered(key, "the box is throttled")
    assert there.unready(MODEL)["a", "openvino-cpu"].endswith("yet: the box is throttled")
    there.hindered(key, "")
    assert there.unready(MODEL)["a", "openvino-cpu"].endswith("behind its pipelines")
    assert there.revision == 2


def test_it_says_what_it_is(tmp_path: Path) -> None:
    there = compiling(tmp_path, OPENVINO)
    there.failed(there.key(MODEL.manifest.variant[0], "openvino-cpu"), "no room")
    assert repr(there) == f"<Compiling <EngineCache {tmp_path}/engines: 0 engines>, 1 failed>"
    assert there.unready(MODEL)["a", "openvino-cpu"] == "could not be compiled for the processor (aarch64): no room"
    assert not there.shares_memory("openvino-cpu")
