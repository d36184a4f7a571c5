"""A model that remembers, asked by Triton's own clients: each sequence adds up what belongs to it."""

from __future__ import annotations

import queue
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient import grpc as over_grpc
from tritonclient import http as over_http
from tritonclient.utils import InferenceServerException

from fakes.brokers import free_port
from fakes.daemon import DaemonProcess, write_config
from fakes.raw_http import RawClient
from fakes.serving_daemon import wait_until_ready
from fakes.sumbundle import sum_bundle

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[2] / "docs" / "serving.md"


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Give the ports, HTTP's and gRPC's, of a daemon that serves the model."""
    folder, http, grpc = tmp_path_factory.mktemp("sequences"), free_port(), free_port()
    sum_bundle(folder / "models" / "sum")
    more = f'[http]\nlisten = "127.0.0.1:{http}"\n[grpc]\nlisten = "127.0.0.1:{grpc}"\n[serving]\nmodels = ["sum"]\n'
    daemon = DaemonProcess(write_config(folder, free_port(), more)).start()
    try:
        wait_until_ready(http, daemon)
        yield http, grpc
    finally:
        daemon.close()


def given(module: Any) -> list[Any]:
    tensor = module.InferInput("x", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 2), np.float32))
    return [tensor]


def test_sequences_are_told_apart_over_both_protocols(ports: tuple[int, int]) -> None:
    with over_http.InferenceServerClient(f"127.0.0.1:{ports[0]}") as client:
        told = [
            client.infer("sum", given(over_http), sequence_id=one, sequence_start=first, sequence_end=last)
            for one, first, last in [
                (1, True, False),
                ("b", True, False),
                (1, False, False),
                ("b", False, True),
                (1, False, True),
            ]
        ]
        with pytest.raises(InferenceServerException, match="cannot go on with sequence 1: it has not begun"):
            client.infer("sum", given(over_http), sequence_id=1)
        with pytest.raises(InferenceServerException, match="expected sequence_id"):
            client.infer("sum", given(over_http))
        configured = client.get_model_config("sum")
    heard: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    with over_grpc.InferenceServerClient(f"127.0.0.1:{ports[1]}") as client:
        client.start_stream(lambda result, error: heard.put((result, error)))
        for number in range(3):
            client.async_stream_infer(
                "sum", given(over_grpc), sequence_id=7, sequence_start=number == 0, sequence_end=number == 2
            )
        streamed = [heard.get(timeout=20) for _ in range(3)]
        client.stop_stream()
        described = client.get_model_config("sum", as_json=True)["config"]

    assert [float(one.as_numpy("y")[0, 0]) for one in told] == [1, 1, 2, 2, 3]
    assert [float(result.as_numpy("y")[0, 0]) for result, _ in streamed] == [1, 2, 3]
    assert configured["sequence_batching"] == {"max_sequence_idle_microseconds": 60_000_000}
    assert described["sequence_batching"] == {"max_sequence_idle_microseconds": "60000000"}
    assert [one["name"] for one in configured["input"]] == ["x"]


def test_a_window_of_a_sequence_is_decoded_by_curl_too(ports: tuple[int, int]) -> None:
    body = (
        '{"inputs": [{"name": "w", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}],'
        ' "parameters": {"decoded": true, "sequence_id": "press", "sequence_start": %s}}'
    )
    with RawClient(ports[0]) as client:
        said = [
            client.ask("POST", "/v2/models/sum/infer", body % first, Accept="text/plain").body
            for first in ("true", "false")
        ]

    assert said == [b"0 1\n1 2\n", b"0 2\n1 4\n"]


def test_the_example_of_the_documentation_begins_a_sequence(ports: tuple[int, int]) -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```$", DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    with RawClient(ports[0]) as client:
        said = [
            client.ask("POST", "/v2/models/sum/infer", body).json["outputs"][0]["data"]
            for body in (example, example.replace('"sequence_start": true', '"sequence_end": true'))
        ]

    assert said == [[1, 2], [2, 4]]
