from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edged.domain.errors import BundleError, DeviceError
from edged.engines import onnx
from fakes.modelfile import onnx_model

TASKS = Path("/proc/self/task")


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return path


def test_open_dimensions_are_free(tmp_path: Path) -> None:
    engine = onnx.open_engine(_written(tmp_path, onnx_model(shape=("batch", 4))), threads=1)
    assert engine.inputs[0].shape == (-1, 4)
    (got,) = engine.infer([np.full((3, 4), -1, np.float32)])
    assert got.tolist() == np.zeros((3, 4)).tolist()


@pytest.mark.parametrize("threads", [1, 3])
def test_it_runs_on_the_threads_that_it_is_given_and_none_spins_while_it_waits(tmp_path: Path, threads: int) -> None:
    path = _written(tmp_path, onnx_model())
    onnx.open_engine(path, threads=1).close()  # the runtime is there, with what threads it has of its own
    before = set(TASKS.iterdir())

    engine = onnx.open_engine(path, threads=threads)
    engine.infer([np.zeros((1, 4), np.float32)])

    assert len(set(TASKS.iterdir()) - before) == threads - 1
    options = engine._session.get_session_options()
    for pool in ("intra", "inter"):
        assert options.get_session_config_entry(f"session.{pool}_op.allow_spinning") == "0"
    assert engine._session.get_providers() == ["CPUExecutionProvider"]


def test_it_says_how_it_runs(tmp_path: Path) -> None:
    engine = onnx.open_engine(_written(tmp_path, onnx_model()), threads=1)
    assert repr(engine) == "<OnnxEngine model.onnx: 1 threads>"
    engine.close()
    assert repr(engine) == "<OnnxEngine model.onnx: closed>"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "content is damaged"),
        (b"\xff" * 64, "content is damaged"),
        (onnx_model()[:-20], "content is damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (onnx_model(operator="Hop", domain="com.example"), "com.example:Hop.*no installed runtime"),
        (onnx_model(opset=900), "operator set is newer"),
        (onnx_model(operator="NoSuchOperator"), "NoSuchOperator.*no installed runtime"),
        (onnx_model(operator="Identity", element=8), r"tensor\(string\)"),
    ],
    ids=["empty", "garbage", "cut", "pointer", "custom-domain", "opset", "unknown-operator", "text"],
)
def test_a_file_that_cannot_run_is_refused_with_the_reason(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(BundleError, match=told) as caught:
        onnx.open_engine(_written(tmp_path, content), threads=1)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read model file absent\.onnx: No such file"):
        onnx.open_engine(tmp_path / "absent.onnx", threads=1)


def test_a_box_without_the_runtime_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match=r"onnxruntime is not installed.*install edged\[onnx\]") as caught:
        onnx.open_engine(_written(tmp_path, onnx_model()), threads=1)
    assert caught.value.code == "runtime-missing"


def test_nothing_is_written_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BundleError):
        onnx.open_engine(_written(tmp_path, onnx_model(operator="Hop", domain="com.example")), threads=1)
    assert capfd.readouterr() == ("", "")
