from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from edged.hardware.interpreters import Interpreter, look


def test_ones_own_is_read_from_metadata() -> None:
    assert look() == Interpreter(None, {"onnxruntime": metadata.version("onnxruntime")})
    assert look().who == "edged's own interpreter"


def test_another_interpreter_is_asked() -> None:
    python = Path(sys.executable)
    assert look(python).onnx == look().onnx
    assert look(python).who == f"the interpreter {python}"


def test_what_does_not_answer_has_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "nothing").onnx == {}
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\necho no JSON\n")
    silent.chmod(0o755)
    assert look(silent).onnx == {}


def test_a_systems_tensorrt_is_read_from_its_librarys_name(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "lib" / "aarch64-linux-gnu"
    folder.mkdir(parents=True)
    (folder / "libnvinfer.so.10.3.0").touch()
    (folder / "libnvinfer.so.10").symlink_to("libnvinfer.so.10.3.0")
    (folder / "libnvinfer_plugin.so.8.2.1").touch()
    assert look(None, tmp_path).tensorrt == "10.3.0"
