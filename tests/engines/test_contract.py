"""What every engine keeps, the fake one too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edged.domain.errors import EngineLostError
from edged.domain.tensor import TensorSpec
from edged.engines import onnx, remote, sandbox, tflite
from fakes.engine import FakeEngine
from fakes.modelfile import onnx_model, tflite_relu
from fakes.serving import FakeBrought, box, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edged.domain.ports import Engine

X = np.array([[-1.0, 2.0, -3.0, 4.0]], np.float32)


KINDS = ("fake", "tflite", "onnx", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sandbox", "remote")))


@pytest.fixture
def server() -> Iterator[remote.Server]:
    """Give a server that has the model."""
    made = box(FakeBrought("relu", compute=lambda given: [np.maximum(given[0], 0)])).loaded("relu")
    with served(made) as port:
        yield remote.Server(f"http://127.0.0.1:{port}", "relu", deadline_s=5)
    made.handlers.shelf.close()


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Give an engine of ``y = max(x, 0)`` on four numbers."""
    if request.param in {"remote", "sandbox"}:
        made = _elsewhere(request, tmp_path)
        request.addfinalizer(made.close)  # noqa: PT021 - of two kinds alone
        return made
    path = tmp_path / f"relu.{request.param}"
    if request.param == "tflite":
        path.write_bytes(tflite_relu())
        return tflite.open_engine(path, threads=1)
    if request.param == "onnx":
        path.write_bytes(onnx_model())
        return onnx.open_engine(path, threads=1)
    spec = TensorSpec("x", (1, 4), "float32")
    return FakeEngine((spec,), (TensorSpec("y", (1, 4), "float32"),), lambda given: [np.maximum(given[0], 0)])


def _elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "remote":
        return remote.open_engine(request.getfixturevalue("server"))
    path = tmp_path / "relu.tflite"
    path.write_bytes(tflite_relu())
    return sandbox.open_engine(sandbox.Order(path, "tflite"))


def test_specs_are_those_of_the_file(engine: Engine) -> None:
    assert engine.inputs == (TensorSpec("x", (1, 4), "float32"),)
    assert engine.outputs == (TensorSpec("y", (1, 4), "float32"),)


def test_an_engine_names_what_runs_it(engine: Engine) -> None:
    assert engine.runtime in {"fake", "litert", "tflite-runtime", "onnxruntime", "remote"}


def test_tensors_go_in_and_come_out(engine: Engine) -> None:
    (got,) = engine.infer([X])
    assert got.dtype == np.float32
    assert got.tolist() == [[0.0, 2.0, 0.0, 4.0]]


def test_an_answer_is_the_callers_to_keep(engine: Engine) -> None:
    (first,) = engine.infer([X])
    engine.infer([X + 10])
    assert first.tolist() == [[0.0, 2.0, 0.0, 4.0]]


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 5), np.float32), np.zeros((1, 4), np.int8), np.zeros((4, 2), np.float32)]
)
def test_a_tensor_that_does_not_fit_is_an_error_of_its_own_kind(engine: Engine, wrong: np.ndarray) -> None:
    with pytest.raises(EngineLostError, match="cannot run"):
        engine.infer([wrong])


def test_too_few_tensors_are_refused(engine: Engine) -> None:
    with pytest.raises((EngineLostError, ValueError)):
        engine.infer([])


def test_a_closed_engine_says_so_and_may_be_closed_again(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineLostError, match="was closed"):
        engine.infer([X])
