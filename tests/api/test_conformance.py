"""Triton's own client against a running daemon with real models: every call, every mix, every kind of refusal."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fakes.raw_http import RawClient
from fakes.serving_daemon import ONNX, TFLITE, Serving

pytestmark = [pytest.mark.slow, pytest.mark.assets]

try:
    import tritonclient.http as triton
    from tritonclient.utils import InferenceServerException
except ImportError:  # pragma: no cover - its dependencies have no wheels for every Python
    triton = None

if triton is None:
    pytest.skip(f"tritonclient has no wheels for Python {sys.version_info[:2]}", allow_module_level=True)

INPUT, OUTPUT = "input", "output"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "serving.md"
WINDOW = np.random.default_rng(7).normal(size=(384,)).round(3).tolist()


@pytest.fixture
def client(serving: Serving) -> Iterator[Any]:
    client = triton.InferenceServerClient(f"127.0.0.1:{serving.port}")
    yield client
    client.close()


@pytest.fixture(scope="module")
def orange(assets: Path) -> np.ndarray[Any, Any]:
    """Give the orange as the model takes it (mean and deviation of torchvision)."""
    picture = cv2.imread(str(assets / "images" / "orange.png"))[:, :, ::-1].astype(np.float32)
    normal = (picture - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[np.newaxis].astype(np.float32))


def given(array: np.ndarray[Any, Any], *, binary: bool = True, name: str = INPUT) -> Any:
    tensor = triton.InferInput(name, list(array.shape), "FP32" if array.dtype == np.float32 else "UINT8")
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_the_server_is_live_ready_and_named(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "edged"


def test_models_are_ready_by_name_and_version(client: Any) -> None:
    asked = [(ONNX, ""), (ONNX, "1.0.0"), (ONNX, "9.9.9"), ("nope", "")]

    assert [client.is_model_ready(name, version) for name, version in asked] == [True, True, False, False]


def test_metadata_and_configuration_name_the_tensors(client: Any) -> None:
    told = client.get_model_metadata(ONNX)

    assert told["inputs"] == [{"name": INPUT, "datatype": "FP32", "shape": [1, 3, 224, 224]}]
    assert client.get_model_config(ONNX)["output"] == [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": [1, 1000]}]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_all_mixes_see_an_orange(
    client: Any, orange: np.ndarray[Any, Any], binary_in: bool, binary_out: bool, packed: str | None
) -> None:
    said = client.infer(
        ONNX,
        [given(orange, binary=binary_in)],
        model_version="1.0.0",
        outputs=[triton.InferRequestedOutput(OUTPUT, binary_data=binary_out)],
        request_id="one",
        priority=1,
        timeout=20_000_000,
        request_compression_algorithm=packed,
        response_compression_algorithm=packed,
    )

    scores = said.as_numpy(OUTPUT)
    assert said.get_response()["id"] == "one"
    assert scores.shape == (1, 1000)
    assert int(scores[0].argmax()) in {950, 951}  # orange and lemon: the quantized network gives both the same score


def test_without_a_list_of_outputs_all_come(client: Any, orange: np.ndarray[Any, Any]) -> None:
    assert client.infer(ONNX, [given(orange)]).as_numpy(OUTPUT).shape == (1, 1000)


def test_requests_at_once_are_answered(serving: Serving, orange: np.ndarray[Any, Any]) -> None:
    client = triton.InferenceServerClient(f"127.0.0.1:{serving.port}", concurrency=4)
    asked = [client.async_infer(ONNX, [given(orange)], request_id=str(number)) for number in range(8)]

    assert [one.get_result().get_response()["id"] for one in asked] == list("01234567")
    client.close()


def test_the_raw_body_is_the_tensor(serving: Serving, orange: np.ndarray[Any, Any]) -> None:
    with RawClient(serving.port) as client:
        said = client.ask("POST", f"/v2/models/{ONNX}/infer", orange.tobytes(), Inference_Header_Content_Length="0")

    length = int(said.headers["inference-header-content-length"])
    assert len(said.body) - length == 4000


@pytest.mark.parametrize(
    ("model", "tensor", "status"),
    [
        ("nope", given(np.zeros((1, 3, 224, 224), np.float32)), "404"),
        (ONNX, given(np.zeros((1, 3, 224, 225), np.float32)), "400"),
        (ONNX, given(np.zeros((1, 3, 224, 224), np.uint8)), "400"),
        (ONNX, given(np.zeros((1, 3, 224, 224), np.float32), name="other"), "400"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(client: Any, model: str, tensor: Any, status: str) -> None:
    with pytest.raises(InferenceServerException, match="cannot") as caught:
        client.infer(model, [tensor])

    assert caught.value.status() == status


def test_an_output_that_there_is_not_is_refused(client: Any, orange: np.ndarray[Any, Any]) -> None:
    with pytest.raises(InferenceServerException, match="expected each of 'output'"):
        client.infer(ONNX, [given(orange)], outputs=[triton.InferRequestedOutput("other")])


def test_statistics_count_and_the_index_lists(client: Any, orange: np.ndarray[Any, Any]) -> None:
    before = client.get_inference_statistics(ONNX)["model_stats"][0]["inference_count"]
    client.infer(ONNX, [given(orange)])

    assert client.get_inference_statistics()["model_stats"][0]["inference_count"] == before + 1
    assert {ONNX, TFLITE, "parts", "vibration"} <= {one["name"] for one in client.get_model_repository_index()}


def test_a_model_is_loaded_asked_and_unloaded(client: Any) -> None:
    client.load_model(TFLITE)
    assert client.is_model_ready(TFLITE)
    (tensor,) = client.get_model_metadata(TFLITE)["inputs"]
    said = client.infer(TFLITE, [given(np.zeros(tensor["shape"], np.uint8), name=tensor["name"])])
    assert said.get_output(said.get_response()["outputs"][0]["name"])["shape"] == [1, 1001]

    client.unload_model(TFLITE)

    assert not client.is_model_ready(TFLITE)
    with pytest.raises(InferenceServerException, match="it is not loaded"):
        client.infer(TFLITE, [given(np.zeros(tensor["shape"], np.uint8), name=tensor["name"])])


def test_tensors_go_in_and_out_through_shared_memory(client: Any, orange: np.ndarray[Any, Any]) -> None:
    from tritonclient.utils import shared_memory  # noqa: PLC0415 - it loads a library of its own

    size = orange.nbytes
    memory = shared_memory.create_shared_memory_region("edged-test", "/edged-test", size + 4000)
    try:
        shared_memory.set_shared_memory_region(memory, [orange])
        client.register_system_shared_memory("both", "/edged-test", size + 4000)
        tensor = triton.InferInput(INPUT, list(orange.shape), "FP32")
        tensor.set_shared_memory("both", size)
        wanted = triton.InferRequestedOutput(OUTPUT)
        wanted.set_shared_memory("both", 4000, offset=size)

        client.infer(ONNX, [tensor], outputs=[wanted])

        scores = shared_memory.get_contents_as_numpy(memory, np.float32, [1, 1000], offset=size)
        assert int(scores[0].argmax()) in {950, 951}
        assert [one["name"] for one in client.get_system_shared_memory_status()] == ["both"]
        client.unregister_system_shared_memory("both")
        assert client.get_system_shared_memory_status() == []
    finally:
        shared_memory.destroy_shared_memory_region(memory)


def test_settings_are_read_and_cannot_be_written(client: Any) -> None:
    assert client.get_trace_settings()["trace_level"] == ["OFF"]
    assert client.get_log_settings()["log_error"] is True
    for change in (client.update_log_settings, client.update_trace_settings):
        with pytest.raises(InferenceServerException, match="read-only"):
            change(settings={"log_info": False})


def test_a_picture_by_curl_gets_its_name(serving: Serving, assets: Path) -> None:
    picture = (assets / "images" / "hot_dog.jpg").read_bytes()
    with RawClient(serving.port) as client:
        said = client.ask("POST", f"/v2/models/{ONNX}/infer", picture, Content_Type="image/jpeg", Accept="text/plain")

    assert said.body.startswith(b"hotdog, hot dog, red hot 0.8")


def test_the_command_of_the_documentation_gets_a_name_from_a_shell(
    client: Any, serving: Serving, assets: Path, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl: it is not on PATH")
    command, answer = re.findall(r"^\$ (curl .*/infer)\n(.*)$", DOCS.read_text("utf-8"), re.MULTILINE)[0]
    # What it is is seen in its first bytes, whatever it is called.
    shutil.copy(assets / "images" / "orange.png", tmp_path / "orange.jpg")
    client.load_model(TFLITE)

    mine = command.replace("127.0.0.1:8080", f"127.0.0.1:{serving.port}").replace("/fruit/", f"/{TFLITE}/")
    said = subprocess.run(mine, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S602 - as people do

    client.unload_model(TFLITE)
    label, score = said.stdout.splitlines()[0].split()
    assert (label, float(score)) == (answer.split()[0], pytest.approx(float(answer.split()[1]), abs=0.01))


def test_a_shipped_model_answers_a_window(client: Any, serving: Serving) -> None:
    client.load_model("vibration")
    with RawClient(serving.port) as raw:
        document = {"inputs": [{"name": "w", "datatype": "FP32", "shape": [128, 3], "data": WINDOW}]}
        asked = json.dumps(document | {"parameters": {"decoded": True}})
        said = raw.ask("POST", "/v2/models/vibration/infer", asked, Accept="text/plain")
        wrong = raw.ask("POST", "/v2/models/vibration/infer", asked.replace("[128, 3]", "[384, 1]"))

    assert said.body.split()[0] in {b"normal", b"anomaly"}
    assert (wrong.status, "expected (128, 3)" in wrong.error) == (400, True)
    client.unload_model("vibration")
