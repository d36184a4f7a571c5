"""The protocol over HTTP, on models that compute what a test says."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edged.api.regions import Regions
from edged.domain.health import Reason
from fakes.inferring import INFER, X, asked, given, infer
from fakes.raw_http import RawClient
from fakes.serving import Box, FakeBrought, box, served


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize(
    "way",
    [
        {},
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "y"}]},
        {"outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
        {"outputs": [{"name": "y", "parameters": {"binary_data": False}}]},
    ],
)
def test_every_mix_of_json_and_binary_gives_the_same(http: RawClient, binary_in: bool, way: dict[str, Any]) -> None:
    document, tail = asked(binary=binary_in, **way)

    said = infer(http, document, tail)

    np.testing.assert_array_equal(given(said), 2 * X)


def test_a_raw_body_is_the_input_and_the_output_comes_in_binary(http: RawClient) -> None:
    said = http.ask("POST", INFER, X.tobytes(), Inference_Header_Content_Length="0")

    np.testing.assert_array_equal(given(said), 2 * X)


def test_the_id_the_model_and_its_version_come_back(http: RawClient) -> None:
    document, _ = asked(id="säven")

    said = infer(http, document, path="/v2/models/m/versions/1.0.0/infer")

    assert {key: said.json[key] for key in ("id", "model_name", "model_version")} == {
        "id": "säven",
        "model_name": "m",
        "model_version": "1.0.0",
    }


def test_an_unknown_model_or_version_is_not_found_and_one_that_is_not_loaded_is_unready(http: RawClient) -> None:
    document, _ = asked()

    answers = [
        infer(http, document, path=f"/v2/models/{name}/infer")
        for name in ("nope", "m/versions/2.0.0", "idle", "%2e%2e%2fidle", "%00")
    ]

    assert [said.status for said in answers] == [404, 404, 503, 404, 404]
    assert all(said.error for said in answers)


def test_probes_say_it_with_their_status_and_readyz_with_codes_too(http: RawClient, http_box: Box) -> None:
    paths = (
        "/v2/health/live",
        "/v2/health/ready",
        "/healthz",
        "/readyz",
        "/v2/models/m/ready",
        "/v2/models/idle/ready",
    )
    before = [(said.status, said.body) for said in (http.ask("GET", path) for path in paths)]
    http_box.unready.append(Reason("source-not-live", "dock", "its source is lost", 0, "look at the cable"))
    try:
        after = [(said.status, said.body) for said in (http.ask("GET", path) for path in paths)]
        why = http.ask("GET", "/api/ready").json
    finally:
        http_box.unready.clear()

    assert before == [(200, b"")] * 5 + [(503, b"")]
    assert [status for status, _ in after] == [200, 503, 200, 503, 200, 503]
    assert [body for _, body in after] == [b"", b"", b"", b"source-not-live\n", b"", b""]
    assert why == {
        "ready": False,
        "reasons": [
            {
                "code": "source-not-live",
                "component": "dock",
                "message": "its source is lost",
                "remedy": "look at the cable",
            }
        ],
        "unmet": [],
    }


def test_a_box_that_runs_with_less_than_is_asked_for_is_ready_and_says_so(http: RawClient, http_box: Box) -> None:
    http_box.unmet.append(Reason("objective-unmet", "gate", "cannot meet accuracy within 5 ms", 0))
    try:
        probe, why = http.ask("GET", "/readyz"), http.ask("GET", "/api/ready").json
    finally:
        http_box.unmet.clear()

    assert (probe.status, probe.body) == (200, b"objective-unmet\n")
    assert (why["ready"], why["reasons"]) == (True, [])
    assert [(one["component"], one["message"]) for one in why["unmet"]] == [
        ("gate", "cannot meet accuracy within 5 ms")
    ]


def test_metadata_and_the_configuration_name_every_tensor(http: RawClient) -> None:
    told = http.ask("GET", "/v2/models/m").json
    configured = http.ask("GET", "/v2/models/m/config").json

    assert told["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [1, 4]}]
    assert configured["output"] == [{"name": "y", "data_type": "TYPE_FP32", "dims": [1, 4]}]
    assert http.ask("GET", "/v2").json["name"] == "edged"
    assert http.ask("GET", "/api/health").json["state"] == "ok"


def test_models_are_loaded_listed_and_unloaded(http: RawClient) -> None:
    assert http.ask("POST", "/v2/repository/models/idle/load", "{}").status == 200
    assert {one["name"]: one["state"] for one in http.ask("POST", "/v2/repository/index").json}["idle"] == "READY"
    assert http.ask("POST", "/v2/repository/models/idle/unload").status == 200
    ready = http.ask("POST", "/v2/repository/index", '{"ready": true}').json
    assert [one["name"] for one in ready] == ["m", "wide"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/repository/index", '{"ready": 1}'),
        ("/v2/repository/models/m/load", '{"parameters": []}'),
        ("/v2/repository/models/m/load", '{"parameters": {"config": "{}"}}'),
        ("/v2/logging", '{"log_info": false}'),
        ("/v2/trace/setting", "{}"),
        ("/v2/models/m/trace/setting", "{}"),
        ("/v2/systemsharedmemory/region/in/register", "{}"),
    ],
)
def test_what_cannot_be_done_is_refused(http: RawClient, path: str, body: str) -> None:
    said = http.ask("POST", path, body)

    assert said.status == 400
    assert said.error


def test_settings_are_told(http: RawClient) -> None:
    assert http.ask("GET", "/v2/logging").json["log_info"] is True
    assert http.ask("GET", "/v2/models/m/trace/setting").json["trace_level"] == ["OFF"]


def test_tensors_in_shared_memory_go_in_and_out(http: RawClient, http_box: Box, tmp_path: Path) -> None:
    http_box.handlers.regions = Regions(tmp_path)
    (tmp_path / "in").write_bytes(X.tobytes())
    (tmp_path / "out").write_bytes(bytes(16))
    for name in ("in", "out"):
        key = json.dumps({"key": f"/{name}", "byte_size": 16})
        assert http.ask("POST", f"/v2/systemsharedmemory/region/{name}/register", key).status == 200
    where = {"shared_memory_byte_size": 16}
    document = {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"shared_memory_region": "in", **where}}
        ],
        "outputs": [{"name": "y", "parameters": {"shared_memory_region": "out", **where}}],
    }

    said = infer(http, document)

    assert said.json["outputs"][0]["parameters"] == {
        "shared_memory_region": "out",
        "shared_memory_offset": 0,
        "shared_memory_byte_size": 16,
    }
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out", "<f4"), 2 * X[0])
    assert len(http.ask("GET", "/v2/systemsharedmemory/status").json) == 2
    assert http.ask("GET", "/v2/systemsharedmemory/region/nope/status").status == 400
    assert http.ask("POST", "/v2/systemsharedmemory/unregister").status == 200
    assert http.ask("GET", "/v2/systemsharedmemory/status").json == []


def test_paths_and_methods_that_there_are_not_are_said_so(http: RawClient) -> None:
    nowhere, wrong = http.ask("GET", "/v3"), http.ask("PUT", "/v2")

    assert (nowhere.status, wrong.status, wrong.headers["allow"]) == (404, 405, "GET")
    assert nowhere.error
    assert wrong.error


@pytest.mark.parametrize("content", ["window", "picture", "base64"])
def test_a_shell_gets_the_answer_as_a_line(content: str) -> None:
    picture = cv2.imencode(".png", np.full((8, 8, 3), 7, np.uint8))[1].tobytes()
    takes = "window" if content == "window" else "image"
    with served(box(FakeBrought("m", takes=takes)).loaded("m")) as port:
        http = RawClient(port)
        if content == "picture":
            said = http.ask("POST", INFER, picture, Content_Type="image/png", Accept="text/plain")
        else:
            data = [0.5] * 8 if content == "window" else [base64.b64encode(picture).decode()]
            kind = {"datatype": "FP32", "shape": [8, 1]} if content == "window" else {"datatype": "BYTES", "shape": [1]}
            document = {"inputs": [{"name": "it", **kind, "data": data}], "parameters": {"decoded": True}}
            said = infer(http, document, Accept="text/plain")
        http.close()

    assert said.headers["content-type"].startswith("text/plain")
    assert said.body.startswith(b"orange ")
    assert said.body.endswith(b"\n")


def test_a_decoded_answer_is_the_document_that_mqtt_carries(http: RawClient) -> None:
    document = {"inputs": [{"name": "w", "datatype": "FP32", "shape": [2, 1], "data": [0.25, 0.75]}]}

    said = infer(http, {**document, "parameters": {"decoded": True}})

    answer, text = said.json["outputs"]
    assert json.loads(answer["data"][0]) == {"classes": [{"label": "orange", "score": 0.5}]}
    assert text["data"] == ["orange 0.500"]


def test_text_comes_through_as_it_was(http: RawClient) -> None:
    said = infer(http, {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["ü"]}]})

    assert "its datatype is BYTES, expected FP32" in said.error
    binary = struct.pack("<I", 2) + b"ab"
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(binary)}}
    assert "expected FP32" in infer(http, {"inputs": [tensor]}, binary).error
