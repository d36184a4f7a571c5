from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.config.share import shipped
from edged.domain.errors import BundleError, DeviceError
from edged.domain.tensor import Quantization
from edged.engines import tflite
from fakes.modelfile import Tensor, tflite_model, tflite_relu
from fakes.waiting import until

TASKS = Path("/proc/self/task")


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def test_the_files_own_quantisation_is_given(tmp_path: Path) -> None:
    engine = tflite.open_engine(_written(tmp_path, tflite_relu(dtype="int8", scale=0.5)), threads=1)
    assert engine.inputs[0].quantization == Quantization(0.5, 0)
    (got,) = engine.infer([np.array([[-8, 0, 1, 127]], np.int8)])
    assert engine.outputs[0].real(got).tolist() == [[0.0, 0.0, 0.5, 63.5]]


def test_a_tensor_without_quantisation_has_none(tmp_path: Path) -> None:
    engine = tflite.open_engine(_written(tmp_path, tflite_relu()), threads=1)
    assert engine.inputs[0].quantization is None


def test_threads_that_share_an_engine_wait_for_each_other(tmp_path: Path) -> None:
    engine = tflite.open_engine(_written(tmp_path, tflite_relu((1, 4096))), threads=1)

    def run(value: int) -> float:
        (got,) = engine.infer([np.full((1, 4096), value, np.float32)])
        return float(got.sum()) / 4096

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(200))) == list(range(200))


@pytest.mark.parametrize("threads", [1, 3])
def test_it_runs_on_the_threads_that_it_is_given(threads: int) -> None:
    before = set(TASKS.iterdir())

    engine = tflite.open_engine(shipped("models") / "vibration" / "int8.tflite", threads=threads)

    assert len(set(TASKS.iterdir()) - before) == threads - 1
    engine.close()


def test_of_those_who_wait_the_most_important_is_the_next(tmp_path: Path) -> None:
    engine, ran = tflite.open_engine(_written(tmp_path, tflite_relu()), threads=1), list[float]()

    class Noted:
        def __init__(self, interpreter: Any) -> None:
            self._interpreter = interpreter

        def set_tensor(self, index: int, tensor: np.ndarray) -> None:
            ran.append(float(tensor[0, 0]))
            self._interpreter.set_tensor(index, tensor)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._interpreter, name)

    engine._interpreter = Noted(engine._interpreter)
    waiting = [
        threading.Thread(target=engine.infer, args=([np.full((1, 4), number, np.float32)], priority))
        for number, priority in ((1, 0), (2, 0), (3, 7))
    ]
    engine._place.take()
    for number, thread in enumerate(waiting, 1):
        thread.start()
        until(lambda number=number: f"1 of 1 places taken, {number} wait" in repr(engine._place), "it waits")  # type: ignore[misc] # bound at once
    engine._place.give()
    for thread in waiting:
        thread.join(10)
    engine.close()

    assert ran == [3, 1, 2]


@pytest.mark.parametrize(
    ("operator", "told"),
    [
        ("edgetpu-custom-op", "a Coral Edge TPU and libedgetpu"),
        ("ethos-u", "an Arm Ethos-U"),
        ("SignalWindow", "TensorFlow Lite Micro"),
        ("FlexErf", "Flex delegate"),
        ("my-op", "known to no runtime"),
    ],
)
def test_a_foreign_operator_is_refused_with_what_it_needs(tmp_path: Path, operator: str, told: str) -> None:
    content = tflite_model([Tensor("x", (1, 4)), Tensor("y", (1, 4))], inputs=(0,), outputs=(1,), custom=operator)
    with pytest.raises(BundleError, match=f"{operator}.*{told}") as caught:
        tflite.open_engine(_written(tmp_path, content), threads=1)
    assert caught.value.code == "operator"


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    content = tflite_relu()
    with pytest.raises(BundleError, match=r"cannot (read|load) model.tflite"):
        tflite.open_engine(_written(tmp_path, content[: len(content) // 2]), threads=1)


def test_a_file_whose_tensors_are_cut_is_refused_as_damaged(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot load model\.tflite: its content is damaged"):
        tflite.open_engine(_written(tmp_path, tflite_relu()[:-8]), threads=1)


def test_a_graph_that_names_tensors_it_does_not_have_is_refused(tmp_path: Path) -> None:
    content = tflite_model([Tensor("x", (1, 4))], inputs=(0,), outputs=(9,))
    with pytest.raises(BundleError, match=r"cannot load model\.tflite: .*expected a model that this runtime can run"):
        tflite.open_engine(_written(tmp_path, content), threads=1)


def test_a_box_without_a_runtime_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in tflite.RUNTIMES:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        DeviceError, match=r"neither ai-edge-litert nor tflite-runtime.*install edged\[tflite\]"
    ) as caught:
        tflite.open_engine(_written(tmp_path, tflite_relu()), threads=1)
    assert caught.value.code == "runtime-missing"


def test_repr_names_file_and_state(tmp_path: Path) -> None:
    engine = tflite.open_engine(_written(tmp_path, tflite_relu()), threads=2)
    assert repr(engine) == "<TfliteEngine model.tflite: 2 threads>"
    engine.close()
    assert repr(engine) == "<TfliteEngine model.tflite: closed>"


@pytest.mark.assets
@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("fake_op_double.tflite", "fake-op-double.*known to no runtime"),
        ("person_detect.tflite", "per-channel quantisation"),
        ("ssd_mobilenet_v1_int8.tflite", "Git LFS pointer of 132 bytes"),
        ("audio_preprocessor_int8.tflite", "SignalWindow.*TensorFlow Lite Micro"),
        ("mobilenet_v1_0.25_128_quant_edgetpu.tflite", "edgetpu-custom-op.*Coral Edge TPU"),
    ],
)
def test_real_broken_and_foreign_files_are_refused_with_the_reason(assets: Path, file: str, told: str) -> None:
    with pytest.raises(BundleError, match=told) as caught:
        tflite.open_engine(assets / "models" / file, threads=1)
    assert "\n" not in str(caught.value)


@pytest.mark.assets
def test_the_detectors_own_operator_tells_its_outputs_apart(assets: Path) -> None:
    engine = tflite.open_engine(assets / "models" / "ssd_mobilenet_v1_coco_quant.tflite", threads=1)
    assert [spec.meaning for spec in engine.outputs] == ["boxes", "classes", "scores", "count"]
