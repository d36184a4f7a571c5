"""The gRPC service as its usual client, tritonclient, finds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from edged.api.access import Access
from edged.api.grpc import GrpcListening, GrpcServer
from edged.api.grpc_messages import SERVICE
from edged.api.regions import Regions
from edged.domain.errors import ConfigError
from fakes.brokers import free_port
from fakes.serving import Box, FakeBrought, box, doubled
from fakes.serving_grpc import served
from fakes.waiting import until

pytestmark = pytest.mark.slow

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - of this test alone
READING = "another-one-that-only-reads"


@pytest.fixture
def made() -> Box:
    return box(FakeBrought("double")).loaded("double")


@pytest.fixture
def client(made: Box) -> Iterator[triton.InferenceServerClient]:
    with served(made) as where, triton.InferenceServerClient(where) as connected:
        yield connected


def given(values: Any = (1, 2, 3, 4), name: str = "x", datatype: str = "FP32") -> triton.InferInput:
    array = np.array([values], np.float32)
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def code(does: Callable[[], Any]) -> str:
    with pytest.raises(InferenceServerException) as caught:
        does()
    return str(caught.value.status())


def test_it_tells_what_it_is_and_how(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("double")
    told = client.get_server_metadata(as_json=True)
    assert told["name"] == "edged"
    assert "system_shared_memory" in told["extensions"]


def test_it_tells_of_a_model(client: triton.InferenceServerClient) -> None:
    told = client.get_model_metadata("double", as_json=True)
    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["1", "4"]}]
    config = client.get_model_config("double", as_json=True)["config"]
    assert (config["name"], config["input"][0]["data_type"]) == ("double", "TYPE_FP32")


def test_it_computes_and_echoes_the_id(client: triton.InferenceServerClient) -> None:
    answer = client.infer("double", [given()], request_id="seven", outputs=[triton.InferRequestedOutput("y")])
    assert answer.as_numpy("y").tolist() == [[2, 4, 6, 8]]
    assert answer.get_response().id == "seven"


@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_a_packed_message_is_unpacked_and_a_version_is_taken(
    client: triton.InferenceServerClient, packed: str | None
) -> None:
    answer = client.infer("double", [given()], model_version="1.0.0", compression_algorithm=packed)
    assert answer.as_numpy("y").tolist() == [[2, 4, 6, 8]]
    assert answer.get_response().model_version == "1.0.0"


def test_tensors_in_shared_memory_go_in_and_out(
    made: Box, client: triton.InferenceServerClient, tmp_path: Path
) -> None:
    made.handlers.regions = Regions(tmp_path)
    (tmp_path / "both").write_bytes(np.arange(4, dtype="<f4").tobytes() + bytes(16))
    client.register_system_shared_memory("both", "/both", 32)
    tensor, wanted = triton.InferInput("x", [1, 4], "FP32"), triton.InferRequestedOutput("y")
    tensor.set_shared_memory("both", 16)
    wanted.set_shared_memory("both", 16, offset=16)

    answer = client.infer("double", [tensor], outputs=[wanted])

    assert np.fromfile(tmp_path / "both", "<f4")[4:].tolist() == [0, 2, 4, 6]
    assert answer.get_response().raw_output_contents == []
    told = client.get_system_shared_memory_status("both", as_json=True)["regions"]["both"]
    assert told == {"name": "both", "key": "/both", "byte_size": "32"}
    client.unregister_system_shared_memory("both")
    assert not client.get_system_shared_memory_status(as_json=True)


def test_typed_contents_are_taken_too(client: triton.InferenceServerClient) -> None:
    request = triton.service_pb2.ModelInferRequest(model_name="double")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([1, 2, 3, 4])
    answer = client._client_stub.ModelInfer(request)
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [2, 4, 6, 8]


def test_a_window_is_decoded_when_that_is_asked_for(client: triton.InferenceServerClient) -> None:
    answer = client.infer("double", [given()], parameters={"decoded": True})
    assert b"orange" in b"".join(answer.as_numpy("text").ravel().tolist())


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda client: client.infer("nobody", [given()]), "StatusCode.NOT_FOUND"),
        (lambda client: client.get_model_metadata("nobody"), "StatusCode.NOT_FOUND"),
        (lambda client: client.is_model_ready("nobody"), "StatusCode.NOT_FOUND"),
        (lambda client: client.infer("double", [given(name="z")]), "StatusCode.INVALID_ARGUMENT"),
        (lambda client: client.infer("double", [given((1, 2))]), "StatusCode.INVALID_ARGUMENT"),
        (lambda client: client.infer("double", []), "StatusCode.INVALID_ARGUMENT"),
        (lambda client: client.infer("double", [given()], model_version="9"), "StatusCode.NOT_FOUND"),
        (lambda client: client.infer("double", [given()], parameters={"decoded": 1}), "StatusCode.INVALID_ARGUMENT"),
        (lambda client: client.get_model_config("nobody"), "StatusCode.NOT_FOUND"),
        (lambda client: client.get_inference_statistics("nobody"), "StatusCode.NOT_FOUND"),
        (lambda client: client.load_model("nobody"), "StatusCode.NOT_FOUND"),
        (lambda client: client.unload_model("nobody"), "StatusCode.NOT_FOUND"),
        (lambda client: client.register_system_shared_memory("x", "/../x", 1), "StatusCode.INVALID_ARGUMENT"),
        (lambda client: client.get_system_shared_memory_status("nobody"), "StatusCode.INVALID_ARGUMENT"),
        (lambda client: client.update_trace_settings(settings={"trace_rate": "1"}), "StatusCode.UNIMPLEMENTED"),
        (lambda client: client.update_log_settings({"log_verbose_level": 1}), "StatusCode.UNIMPLEMENTED"),
        (lambda client: client.load_model("double", config="{}"), "StatusCode.UNIMPLEMENTED"),
        (lambda client: client.unregister_system_shared_memory("nobody"), "ok"),
    ],
)
def test_what_cannot_be_done_has_its_status(
    client: triton.InferenceServerClient, ask: Callable[[Any], Any], status: str
) -> None:
    if status == "ok":
        ask(client)
    else:
        assert code(lambda: ask(client)) == status


def test_bytes_that_are_no_message_are_refused(made: Box) -> None:
    with served(made) as where, grpc.insecure_channel(where) as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            infer(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Traceback" not in caught.value.details()


def test_models_come_and_go(client: triton.InferenceServerClient) -> None:
    client.unload_model("double")
    (entry,) = client.get_model_repository_index(as_json=True)["models"]
    assert entry["state"] != "READY"
    client.load_model("double")
    assert client.is_model_ready("double")


def test_it_counts(client: triton.InferenceServerClient) -> None:
    client.infer("double", [given()])
    (told,) = client.get_inference_statistics("double", as_json=True)["model_stats"]
    assert told["inference_count"] == "1"
    assert told["inference_stats"]["success"]["count"] == "1"


def test_settings_are_told(client: triton.InferenceServerClient) -> None:
    assert client.get_trace_settings(as_json=True)["settings"]["trace_level"]["value"] == ["OFF"]
    assert client.get_log_settings(as_json=True)["settings"]["log_error"] == {"bool_param": True}


def test_a_stream_goes_on_after_a_fault(client: triton.InferenceServerClient) -> None:
    heard: list[tuple[Any, Any]] = []
    told = threading.Event()

    def hear(result: Any, error: Any) -> None:
        heard.append((result, error))
        if len(heard) == 2:
            told.set()

    client.start_stream(hear)
    client.async_stream_infer("nobody", [given()])
    client.async_stream_infer("double", [given()])
    assert told.wait(60)
    client.stop_stream()
    assert "nobody" in str(heard[0][1])
    assert heard[1][0].as_numpy("y").tolist() == [[2, 4, 6, 8]]


def test_a_full_line_refuses_at_once() -> None:
    held = threading.Event()

    def slow(tensors: Any) -> Any:
        held.wait(60)
        return doubled(tensors)

    busy = box(FakeBrought("slow", compute=slow), queue=2).loaded("slow")
    with served(busy) as where, triton.InferenceServerClient(where) as client, ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(client.infer, "slow", [given()]) for _ in range(16)]
        # One runs and two wait; who comes before the first has begun may be refused in its stead.
        until(lambda: sum(one.done() for one in asked) >= 13, "the others are refused")
        faults = [one.exception() for one in asked if one.done()]
        held.set()
    assert {str(fault.status()) for fault in faults if isinstance(fault, InferenceServerException)} == {
        "StatusCode.UNAVAILABLE"
    }
    assert len(faults) in {13, 14}
    assert None not in faults


@pytest.mark.parametrize("limit", [{"client_timeout": 0.3}, {"timeout": 300_000}])
def test_a_clients_deadline_holds_in_the_line(limit: dict[str, Any]) -> None:
    held, began = threading.Event(), threading.Event()

    def slow(tensors: Any) -> Any:
        began.set()
        held.wait(60)
        return doubled(tensors)

    busy = box(FakeBrought("slow", compute=slow)).loaded("slow")
    with served(busy) as where, triton.InferenceServerClient(where) as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.infer, "slow", [given()])
        assert began.wait(60)
        began_s = time.monotonic()
        assert code(lambda: client.infer("slow", [given()], **limit)) == "StatusCode.DEADLINE_EXCEEDED"
        assert time.monotonic() - began_s < 30  # what is before it takes 60
        held.set()
        first.result(60)


def test_the_higher_priority_is_answered_first() -> None:
    held, began, seen = threading.Event(), threading.Event(), []

    def slow(tensors: Any) -> Any:
        seen.append(int(tensors[0][0, 0]))
        began.set()
        held.wait(60)
        return doubled(tensors)

    busy = box(FakeBrought("slow", compute=slow)).loaded("slow")
    line = busy.handlers.shelf.get("slow")
    with served(busy) as where, triton.InferenceServerClient(where) as client, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.infer, "slow", [given((0, 0, 0, 0))])]
        assert began.wait(60)
        for waiting, priority in enumerate((9, 3, 1), 1):
            asked.append(pool.submit(client.infer, "slow", [given((priority, 0, 0, 0))], priority=priority))
            until(lambda waiting=waiting: line.waiting == waiting, "it waits")
        held.set()
        for one in asked:
            one.result(60)

    assert seen == [0, 1, 3, 9]


@pytest.mark.parametrize(
    ("token", "ask", "status"),
    [
        (None, lambda client, headers: client.is_server_live(headers=headers), None),
        (
            None,
            lambda client, headers: client.infer("double", [given()], headers=headers),
            "StatusCode.UNAUTHENTICATED",
        ),
        (READING, lambda client, headers: client.infer("double", [given()], headers=headers), None),
        (
            READING,
            lambda client, headers: client.unload_model("double", headers=headers),
            "StatusCode.PERMISSION_DENIED",
        ),
        (TOKEN, lambda client, headers: client.unload_model("double", headers=headers), None),
    ],
)
def test_tokens_open_what_they_shall(made: Box, token: str | None, ask: Callable[..., Any], status: str | None) -> None:
    access = Access(TOKEN.encode(), READING.encode())
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with served(made, access) as where, triton.InferenceServerClient(where) as client:
        if status is None:
            ask(client, headers)
        else:
            assert code(lambda: ask(client, headers)) == status


def test_a_port_that_is_taken_is_a_reason(made: Box) -> None:
    with served(made) as where:
        listening = GrpcListening("127.0.0.1", int(where.rpartition(":")[2]), 1000)
        other = GrpcServer(listening, made.handlers, Access, time.monotonic_ns)
        other.start()
        assert not other.working
        assert other.reasons()[0].message.startswith(f"cannot serve gRPC on {where}: ")


def test_a_token_that_cannot_be_read_is_a_reason_until_it_can(made: Box) -> None:
    waits = [True]

    def build() -> Access:
        if waits[0]:
            message = "cannot read the token"
            raise ConfigError(message, remedy="write it")
        return Access()

    server = GrpcServer(GrpcListening("127.0.0.1", free_port(), 1000), made.handlers, build, time.monotonic_ns)
    server.start()
    assert server.reasons()[0].remedy == "write it"
    waits[0] = False
    server.reload()
    assert server.working
    assert server.reasons() == ()
    server.stop()
    assert server.join(30)
    made.handlers.shelf.close()
