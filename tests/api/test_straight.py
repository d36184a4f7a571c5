"""Large bodies, which are read past the parser to where they shall lie: every byte, and what comes before, behind and beside them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from http.client import HTTPSConnection
from pathlib import Path

import numpy as np
import pytest

from edged.api.access import Access
from edged.domain.tensor import Array, TensorSpec
from fakes.certificates import Authority
from fakes.raw_http import RawClient, request
from fakes.serving import Box, FakeBrought, box, served

VALUES = 100_000
INFER = "/v2/models/m/infer"
PICTURE = np.arange(VALUES, dtype=np.float32).reshape(1, VALUES)
LOOKS_LIKE_A_REQUEST = (b"\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 10_000)[: 4 * VALUES]


def echo(tensors: Sequence[Array]) -> list[Array]:
    return [tensors[0].copy()]


def made() -> Box:
    spec = TensorSpec("x", (1, VALUES), "float32")
    return box(FakeBrought("m", compute=echo, inputs=(spec,), outputs=(spec,))).loaded("m")


@pytest.fixture
def port() -> Iterator[int]:
    with served(made()) as port:
        yield port


def raw(body: bytes, **headers: str) -> bytes:
    return request("POST", INFER, body, Inference_Header_Content_Length="0", **headers)


def heard(client: RawClient) -> bytes:
    said = client.hear()
    assert said.status == 200, said.body[:300]
    return said.body[-4 * VALUES :]


@pytest.mark.parametrize("body", [PICTURE.tobytes(), LOOKS_LIKE_A_REQUEST], ids=["numbers", "requests"])
@pytest.mark.parametrize("piece", [1_000, 65_537, 10_000_000], ids=["drips", "pieces", "whole"])
def test_every_byte_lies_in_its_place_however_they_come(port: int, body: bytes, piece: int) -> None:
    sent = raw(body)
    with RawClient(port) as client:
        for begin in range(0, len(sent), piece):
            client.send(sent[begin : begin + piece])

        assert heard(client) == body


def test_what_follows_on_the_connection_is_the_next_request(port: int) -> None:
    bodies = [np.full((1, VALUES), number, np.float32).tobytes() for number in range(4)]
    with RawClient(port) as client:
        client.send(b"".join(map(raw, bodies)) + request("GET", "/healthz"))

        assert [heard(client) for _ in bodies] == bodies
        assert client.hear().status == 200


def test_others_are_read_while_a_body_is_on_its_way(port: int) -> None:
    sent = [raw(np.full((1, VALUES), number, np.float32).tobytes()) for number in range(3)]
    clients = [RawClient(port) for _ in sent]
    for client, one in zip(clients, sent, strict=True):
        client.send(one[: 2 * VALUES])
    with RawClient(port) as other:
        assert other.ask("GET", "/healthz").status == 200
    for client, one in zip(clients, sent, strict=True):
        client.send(one[2 * VALUES :])

    for client, one in zip(clients, sent, strict=True):
        assert heard(client) == one[-4 * VALUES :]
        client.close()


def test_who_goes_away_in_the_middle_costs_nobody_anything(port: int) -> None:
    sent = raw(PICTURE.tobytes())
    for _ in range(20):
        with RawClient(port) as client:
            client.send(sent[: 3 * VALUES])
    with RawClient(port) as client:
        client.send(sent)

        assert heard(client) == PICTURE.tobytes()


def test_a_body_that_nobody_reads_is_passed_over() -> None:
    with served(made(), access=Access(token=b"t" * 40)) as port, RawClient(port) as client:
        client.send(request("POST", "/v2/repository/models/m/unload", LOOKS_LIKE_A_REQUEST))

        assert client.hear().status == 401


@pytest.mark.parametrize("piece", [1_000, 65_537, 10_000_000], ids=["drips", "pieces", "whole"])
def test_what_follows_a_body_that_nobody_wants_is_the_next_request(port: int, piece: int) -> None:
    refused = request("POST", "/v2/models/nope/infer", LOOKS_LIKE_A_REQUEST, Inference_Header_Content_Length="0")
    sent = refused + refused + raw(PICTURE.tobytes()) + refused + request("GET", "/healthz")
    with RawClient(port) as client:
        for begin in range(0, len(sent), piece):
            client.send(sent[begin : begin + piece])

        assert [client.hear().status for _ in range(2)] == [404, 404]
        assert heard(client) == PICTURE.tobytes()
        assert [client.hear().status for _ in range(2)] == [404, 200]


def test_who_waits_to_be_asked_for_a_body_is(port: int) -> None:
    sent = raw(PICTURE.tobytes(), Expect="100-continue")
    head = sent.index(b"\r\n\r\n") + 4
    with RawClient(port) as client:
        client.send(sent[:head])
        assert client.makefile("r").readline() == b"HTTP/1.1 100 Continue\r\n"
        assert client.makefile("r").readline() == b"\r\n"
        client.send(sent[head:])

        assert heard(client) == PICTURE.tobytes()


def test_bodies_come_encrypted_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("box", names="DNS:localhost")
    context = ssl.create_default_context(cafile=str(authority.pair.cert))
    with served(made(), cert=pair.cert, key=pair.key) as port:
        connection = HTTPSConnection("localhost", port, timeout=20, context=context)
        answers = []
        for number in range(3):
            body = np.full((1, VALUES), number, np.float32).tobytes()
            connection.request("POST", INFER, body, {"Inference-Header-Content-Length": "0"})
            answers.append(connection.getresponse().read()[-4 * VALUES :] == body)
        connection.close()

    assert answers == [True, True, True]
