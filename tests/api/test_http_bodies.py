"""How bodies come over HTTP: packed, in chunks, too large, not at all; and what is no request."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest

from fakes.inferring import INFER, X, asked, given, infer
from fakes.raw_http import RawClient
from fakes.serving import Box


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_packed_body_is_unpacked(http: RawClient, encoding: str, pack: Any) -> None:
    document, tail = asked(binary=True)
    head = json.dumps(document).encode()

    said = http.ask(
        "POST",
        INFER,
        pack(head + tail),
        Content_Encoding=encoding,
        Inference_Header_Content_Length=str(len(head)),
    )

    np.testing.assert_array_equal(given(said), 2 * X)


def test_a_large_answer_is_packed_for_who_takes_it(http: RawClient) -> None:
    values = np.zeros((1, 40_000), "<f4")
    document = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 40_000], "data": values.reshape(-1).tolist()}]
    }

    said = infer(http, document, path="/v2/models/wide/infer", Accept_Encoding="gzip")

    assert said.headers["content-encoding"] == "gzip"
    assert len(said.body) < 1000
    assert len(json.loads(gzip.decompress(said.body))["outputs"][0]["data"]) == 40_000


def test_a_body_in_chunks_is_read(http: RawClient) -> None:
    body = json.dumps(asked()[0]).encode()
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:]))

    http.send(
        f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + parts
        + b"0\r\n\r\n"
    )

    np.testing.assert_array_equal(given(http.hear()), 2 * X)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(http: RawClient) -> None:
    body = np.zeros((1, 40_000), "<f4").tobytes()
    head = f"POST /v2/models/wide/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    http.send(f"{head}Inference-Header-Content-Length: 0\r\nExpect: 100-continue\r\n\r\n".encode())

    assert http.socket.recv(64) == b"HTTP/1.1 100 Continue\r\n\r\n"
    http.send(body)
    assert given(http.hear()).shape == (1, 40_000)


def test_requests_sent_at_once_are_answered_in_their_order(http: RawClient) -> None:
    for number in range(5):
        head = json.dumps(asked(id=str(number))[0]).encode()
        http.send(f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(head)}\r\n\r\n".encode() + head)

    assert [http.hear().json["id"] for _ in range(5)] == list("01234")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "expected an object"),
        ({"inputs": {}}, "'inputs': it is an object, expected a list"),
        ({"inputs": [7]}, "expected at most 256 objects"),
        ({"inputs": []}, "expected each of 'x' once"),
        ({**asked()[0], "id": 7}, "'id': it is a whole number, expected text"),
        ({**asked()[0], "parameters": {"priority": -1}}, "0 or more"),
        ({**asked()[0], "parameters": {"priority": True}}, "expected a whole number"),
        ({**asked()[0], "parameters": {"timeout": 0.5}}, "expected a whole number"),
        ({**asked()[0], "outputs": [{"name": "z"}]}, "expected each of 'y' at most once"),
        ({**asked()[0], "outputs": [{"name": "y"}] * 2}, "at most once"),
        ({**asked()[0], "outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "cannot classify"),
    ],
)
def test_what_is_no_request_is_refused_in_words(http: RawClient, document: Any, words: str) -> None:
    said = infer(http, document)

    assert said.status == 400
    assert words in said.error


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"inputs": NaN}', b'{"a":' + b"9" * 5000 + b"}", b"null", b'"x"'],
)
def test_what_is_no_json_is_refused(http: RawClient, body: bytes) -> None:
    said = http.ask("POST", INFER, body)

    assert said.status == 400
    assert said.error.startswith("cannot ")


@pytest.mark.parametrize("length", ["-1", "x", "1" * 30, "9999", "²", ""])
def test_a_header_length_that_is_none_is_refused(http: RawClient, length: str) -> None:
    http.send(
        b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        b"Inference-Header-Content-Length: " + length.encode() + b"\r\n\r\n{}"
    )

    assert http.hear().status == 400


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-3]),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"x"),
        ("br", b"{}"),
        ("gzip, gzip", b"{}"),
    ],
)
def test_what_is_not_packed_as_it_says_is_refused(http: RawClient, encoding: str, body: bytes) -> None:
    said = http.ask("POST", INFER, body, Content_Encoding=encoding)

    assert said.status == 400
    assert "unpack" in said.error or "Content-Encoding" in said.error


def test_a_body_that_unpacks_to_too_much_is_refused_and_never_unpacked(http: RawClient) -> None:
    said = http.ask("POST", INFER, gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")

    assert said.status == 413
    assert "more than 4000000 bytes" in said.error


def test_a_body_that_is_too_large_is_refused_before_it_comes(http: RawClient) -> None:
    http.send(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n")

    assert http.hear().status == 413
    assert http.is_closed()


def test_a_body_that_grows_too_large_is_refused(http: RawClient) -> None:
    http.send(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    part = b"%x\r\n%s\r\n" % (1_000_000, bytes(1_000_000))
    for _ in range(4):
        http.send(part)
    http.send(b"2\r\n{}\r\n")

    assert http.hear().status == 413


def test_a_binary_request_lies_aligned_behind_a_header_of_any_length(http: RawClient, http_box: Box) -> None:
    seen: list[int] = []
    (wide,) = (one for one in http_box.supplier.brought if one.name == "wide")

    def looks(tensors: Any) -> Any:
        seen.append(tensors[0].ctypes.data % 64)
        return [tensors[0]]

    before, wide.compute = wide.compute, looks
    body = np.zeros((1, 40_000), "<f4").tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 40_000], "parameters": {"binary_data_size": len(body)}}
    for pad in range(3):
        infer(http, {"inputs": [tensor], "id": "x" * pad}, body, path="/v2/models/wide/infer")
    wide.compute = before

    assert seen == [0, 0, 0]


def test_requests_that_say_the_same_are_each_answered_about_their_own_bytes(http: RawClient) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}
    answers = []
    for size, value in ((16, 1), (16, 2), (12, 3), (20, 4), (16, 5)):
        said = infer(http, {"inputs": [tensor]}, np.full(size // 4, value, "<f4").tobytes())
        answers.append(said.json["outputs"][0]["data"][0] if said.status == 200 else said.error)

    assert [answers[place] for place in (0, 1, 4)] == [2, 4, 10]
    assert answers[2:4] == [
        "cannot read input 'x': binary_data_size is 16 and 12 bytes are left",
        "cannot read the request: 4 bytes follow the inputs that it names",
    ]


def test_values_and_a_length_at_once_are_refused(http: RawClient) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "data": [1], "parameters": {"binary_data_size": 4}}

    assert "has data and a binary_data_size" in infer(http, {"inputs": [tensor]}, bytes(4)).error
