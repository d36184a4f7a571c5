"""gRPC on the daemon as users run it: TLS, tokens, real models, and Triton's own client."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient import http as over_http
from tritonclient.utils import InferenceServerException

from fakes.brokers import free_port
from fakes.certificates import Authority
from fakes.serving_daemon import ONNX, TFLITE, Serving, serving_daemon

pytestmark = [pytest.mark.slow, pytest.mark.assets]

CONTROL, READ = "the-token-that-controls", "the-token-that-only-reads"


@dataclass(frozen=True)
class Site:
    """``ask`` gives a client with a token."""

    serving: Serving
    ask: Callable[[str], Any]


class Client(triton.InferenceServerClient):  # type: ignore[misc] # it has no types
    """Sends a token with each call."""

    def __init__(self, where: str, ca: Path, token: str) -> None:
        super().__init__(where, ssl=True, root_certificates=str(ca))
        self.headers = {"authorization": f"Bearer {token}"}

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        is_call = name.startswith(("is_", "get_", "infer", "load_", "unload_"))
        return partial(found, headers=self.headers) if is_call else found


@pytest.fixture(scope="module")
def site(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("grpc"), free_port()
    authority = Authority(folder)
    pair = authority.sign("box", names="IP:127.0.0.1")
    (folder / "control").write_text(CONTROL)
    (folder / "read").write_text(READ)
    section = (
        f'[grpc]\nlisten = "127.0.0.1:{port}"\ntoken_file = "{folder / "control"}"\nread_token_file = "{folder / "read"}"\n'
        f'tls = {{ cert = "{pair.cert}", key = "{pair.key}" }}\n'
    )
    with serving_daemon(folder, assets, section) as serving:
        yield Site(serving, partial(Client, f"127.0.0.1:{port}", authority.pair.cert))


@pytest.fixture
def client(site: Site) -> Iterator[Any]:
    with site.ask(CONTROL) as made:
        yield made


def orange(assets: Path) -> Any:
    """Give the encoded picture as a request's one input."""
    given = triton.InferInput("picture", [1], "BYTES")
    given.set_data_from_numpy(np.array([(assets / "images" / "orange.png").read_bytes()], object))
    return given


def noise(module: Any) -> Any:
    given = module.InferInput("input", [1, 3, 224, 224], "FP32")
    given.set_data_from_numpy(np.random.default_rng(7).normal(size=(1, 3, 224, 224)).astype(np.float32))
    return given


def code(does: Callable[[], Any]) -> str:
    with pytest.raises(InferenceServerException) as caught:
        does()
    return str(caught.value.status())


def test_it_is_live_and_ready_and_tells_what_it_serves(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata().name == "edged"
    assert client.get_model_metadata(ONNX).inputs[0].shape == [1, 3, 224, 224]
    assert client.is_model_ready(ONNX)


def test_a_picture_is_answered_in_words(client: Any, assets: Path) -> None:
    answer = client.infer(ONNX, [orange(assets)], parameters={"decoded": True})

    assert answer.as_numpy("text")[0].decode().startswith("orange")


def test_tensors_give_what_they_give_over_http(client: Any, site: Site) -> None:
    name = client.get_model_metadata(ONNX).outputs[0].name
    here = client.infer(ONNX, [noise(triton)]).as_numpy(name)

    with over_http.InferenceServerClient(f"127.0.0.1:{site.serving.port}") as other:
        assert (other.infer(ONNX, [noise(over_http)]).as_numpy(name) == here).all()


def test_a_stream_is_answered_in_its_order(client: Any) -> None:
    heard: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    client.start_stream(lambda result, error: heard.put((result, error)), headers=client.headers)
    for number in range(5):
        client.async_stream_infer(ONNX, [noise(triton)], request_id=str(number))
    answers = [heard.get(timeout=20) for _ in range(5)]
    client.stop_stream()

    assert [(result.get_response().id, error) for result, error in answers] == [(str(n), None) for n in range(5)]


def test_a_model_is_loaded_counted_and_unloaded(client: Any) -> None:
    client.load_model(TFLITE)
    assert client.is_model_ready(TFLITE)
    client.unload_model(TFLITE)

    assert not client.is_model_ready(TFLITE)
    (told,) = client.get_inference_statistics(ONNX).model_stats
    assert told.name == ONNX


def test_tokens_open_what_they_shall(site: Site, assets: Path) -> None:
    with site.ask(READ) as reader, site.ask("nobody's token, and long") as stranger:
        assert reader.infer(ONNX, [orange(assets)], parameters={"decoded": True}).as_numpy("text") is not None
        assert code(lambda: reader.unload_model(ONNX)) == "StatusCode.PERMISSION_DENIED"
        assert code(stranger.get_server_metadata) == "StatusCode.UNAUTHENTICATED"


def test_what_is_wrong_has_its_status(client: Any) -> None:
    assert code(lambda: client.get_model_metadata("nobody")) == "StatusCode.NOT_FOUND"
    wrong = triton.InferInput("input", [1, 2], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 2), np.float32))
    assert code(lambda: client.infer(ONNX, [wrong])) == "StatusCode.INVALID_ARGUMENT"


def test_it_ends_with_the_daemon_in_order(assets: Path, tmp_path: Path) -> None:
    port = free_port()
    with serving_daemon(tmp_path, assets, f'[grpc]\nlisten = "127.0.0.1:{port}"\n') as serving:
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as plain:
            assert plain.is_server_live()
        status, took_s = serving.daemon.stop()

    assert (status, took_s < 5) == (0, True)
    assert "Traceback" not in serving.daemon.said()
