"""Clients that ask the same again with other numbers: their requests are not read anew, and every promise holds for them as for others."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Sequence
from dataclasses import replace
from http.client import HTTPSConnection
from pathlib import Path

import numpy as np
import pytest

from edged.api.access import Access
from edged.api.http import InferenceApi
from edged.domain.tensor import Array, TensorSpec
from fakes.certificates import Authority
from fakes.raw_http import RawClient, request
from fakes.repeating import INFER, VALUES, Reads, asked, at_work, exchanged, made, number
from fakes.serving import FakeBrought, box, served


@pytest.mark.parametrize("values", [4, VALUES])
def test_the_same_with_other_numbers_is_read_once(reads: Reads, values: int) -> None:
    with served(made(values)) as port, RawClient(port) as client:
        found = [number(exchanged(client, asked(one, values))) for one in range(5)]

    assert found == [0, 2, 4, 6, 8]
    assert reads.count == 1


def test_the_answer_looks_as_it_did(port: int) -> None:
    with RawClient(port) as client:
        first, *more = (exchanged(client, asked(1)) for _ in range(4))

    for one in more:
        assert (first.status, first.body) == (one.status, one.body)
        assert {**first.headers, "date": ""} == {**one.headers, "date": ""}
        assert list(first.headers) == list(one.headers)


def test_an_answer_of_another_size_is_told_as_such() -> None:
    def as_many(tensors: Sequence[Array]) -> list[Array]:
        size = int(tensors[0][0, 0])
        return [np.full((1, size), size, np.float32)]

    with served(made(compute=as_many)) as port, RawClient(port) as client:
        for size in (3, 3, 3, 5, 5, 3, 1):
            said = exchanged(client, asked(size))
            assert number(said) == size
            assert len(said.body) == int(said.headers["inference-header-content-length"]) + 4 * size


def test_whatever_differs_is_read(port: int, reads: Reads) -> None:
    others = [asked(1, id="a"), asked(1, id="b"), asked(1, headers="X-Other: 1\r\n"), asked(1, path=f"{INFER}?a=1")]
    with RawClient(port) as client:
        said = [exchanged(client, one) for one in (asked(1), *others, asked(1))]

    assert [number(one) for one in said] == [2.0] * 6
    assert b'"id":"a"' in said[1].body
    assert b'"id":"b"' in said[2].body
    assert reads.count == 6


@pytest.mark.parametrize(
    "headers",
    ["Connection: close\r\n", "Content-Encoding: identity\r\n", "Expect: nothing\r\n"],
)
def test_what_asks_for_more_is_never_kept(port: int, reads: Reads, headers: str) -> None:
    with RawClient(port) as client:
        client.send(asked(1, headers=headers))
        assert number(client.hear()) == 2.0
        if "close" in headers:
            assert client.is_closed()
        else:
            assert number(exchanged(client, asked(2, headers=headers))) == 4.0
            assert reads.count == 2


@pytest.mark.parametrize(("values", "coded", "count"), [(4, None, 1), (400, "gzip", 2)])
def test_an_answer_that_is_packed_is_written_each_time(
    reads: Reads, values: int, coded: str | None, count: int
) -> None:
    with served(made(values)) as port, RawClient(port) as client:
        said = [exchanged(client, asked(one, values, headers="Accept-Encoding: gzip\r\n")) for one in (1, 2)]

    assert [one.headers.get("content-encoding") for one in said] == [coded, coded]
    unpacked = [replace(one, body=gzip.decompress(one.body) if coded else one.body) for one in said]
    assert [number(one) for one in unpacked] == [2.0, 4.0]
    assert reads.count == count


@pytest.mark.parametrize("piece", [1, 7, 400, 65_537])
def test_every_byte_lies_in_its_place_however_they_come(piece: int) -> None:
    values = VALUES if piece > 100 else 64
    with served(made(values)) as port, RawClient(port) as client:
        assert number(exchanged(client, asked(1, values))) == 2.0
        sent = asked(3, values)
        for begin in range(0, len(sent), piece):
            client.send(sent[begin : begin + piece])

        assert number(client.hear()) == 6.0


@pytest.mark.parametrize("values", [4, VALUES])
def test_several_at_once_are_answered_in_order(values: int) -> None:
    with served(made(values)) as port, RawClient(port) as client:
        assert number(exchanged(client, asked(1, values))) == 2.0
        client.send(b"".join(asked(one, values) for one in range(8)) + request("GET", "/healthz"))

        assert [number(client.hear()) for _ in range(8)] == [2.0 * one for one in range(8)]
        assert client.hear().status == 200


def test_other_requests_go_between(port: int, reads: Reads) -> None:
    with RawClient(port) as client:
        for one in range(4):
            assert number(exchanged(client, asked(one))) == 2 * one
            assert client.ask("GET", "/healthz").status == 200

    assert reads.count == 1


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n"])
def test_a_head_whose_end_the_parser_sees_elsewhere_is_never_kept(port: int, reads: Reads, before: bytes) -> None:
    """Else what a proxy sends for others on the same connection would be taken for numbers."""
    with RawClient(port) as client:
        said = [exchanged(client, before + asked(one)) for one in range(3)]

    assert [number(one) for one in said] == [0, 2, 4]
    assert reads.count == 3


def test_of_requests_that_come_together_the_second_is_not_taken_for_the_first(port: int) -> None:
    with RawClient(port) as client:
        client.send(request("GET", "/healthz") + asked(1))
        assert client.hear().status == 200
        assert number(client.hear()) == 2.0
        assert client.ask("GET", "/healthz").status == 200
        assert number(exchanged(client, asked(2))) == 4.0


def test_of_two_heads_that_are_alike_each_keeps_its_own_json(port: int) -> None:
    with RawClient(port) as client:
        client.send(asked(1, id="a") + asked(1, id="b"))
        assert [b'"id":"a"' in client.hear().body, b'"id":"b"' in client.hear().body] == [True, True]

        assert b'"id":"a"' in exchanged(client, asked(2, id="a")).body


def test_a_model_that_was_unloaded_is_not_asked_and_another_of_its_name_is() -> None:
    tripled = FakeBrought("m", "2.0.0", compute=lambda tensors: [3 * tensors[0]])
    models = [FakeBrought("m"), tripled]
    made = box(make={"m": lambda: models.pop(0)}).loaded("m")
    with served(made) as port, RawClient(port) as client:
        assert [number(exchanged(client, asked(1))) for _ in range(2)] == [2.0, 2.0]
        made.handlers.unload("m")
        assert exchanged(client, asked(1)).status == 503
        made.handlers.load("m")

        assert [number(exchanged(client, asked(1))) for _ in range(2)] == [3.0, 3.0]


def test_who_is_not_let_in_any_more_is_not_answered() -> None:
    api = InferenceApi(made().handlers, 4_000_000)
    with at_work(api, b"a" * 40, b"b" * 40) as (port, server), RawClient(port) as client:
        mine = "Authorization: Bearer " + "a" * 40 + "\r\n"
        assert [number(exchanged(client, asked(1, headers=mine))) for _ in range(2)] == [2.0, 2.0]
        server.reload()
        assert exchanged(client, asked(1, headers=mine)).status == 401


def test_an_address_that_guesses_is_not_answered() -> None:
    with served(made(), access=Access(token=b"a" * 40)) as port, RawClient(port) as client:
        mine = "Authorization: Bearer " + "a" * 40 + "\r\n"
        assert [number(exchanged(client, asked(1, headers=mine))) for _ in range(2)] == [2.0, 2.0]
        for guess in range(20):
            with RawClient(port) as guesser:
                assert guesser.ask("GET", "/v2", Authorization=f"Bearer {guess:040}").status == 401

        assert exchanged(client, asked(1, headers=mine)).status == 429


@pytest.mark.parametrize("more", [{}, {"outputs": []}, {"parameters": {"binary_data_output": False}}])
def test_answers_in_json_stay_json(port: int, more: dict[str, object]) -> None:
    with RawClient(port) as client:
        said = [exchanged(client, asked(1, **{"parameters": {}, **more})) for _ in range(3)]

    assert [one.headers["content-type"] for one in said] == ["application/json"] * 3
    assert [one.json["outputs"][0]["data"] for one in said] == [[2.0] * 4] * 3


def test_a_known_request_inside_anothers_head_is_a_part_of_that(port: int) -> None:
    with RawClient(port) as client:
        assert number(exchanged(client, asked(1))) == 2.0
        client.send(request("GET", "/v2") + b"POST /v2/models/evil/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Foo: ")
        assert client.hear().status == 200
        said = exchanged(client, asked(7))

    assert said.status in {400, 404}


def test_a_wrong_token_from_elsewhere_changes_nothing(reads: Reads) -> None:
    with served(made(), access=Access(token=b"a" * 40)) as port, RawClient(port) as client:
        mine = "Authorization: Bearer " + "a" * 40 + "\r\n"
        with RawClient(port, source="127.0.0.9") as other:
            assert other.ask("GET", "/v2", Authorization="Bearer " + "b" * 40).status == 401
        assert [number(exchanged(client, asked(1, headers=mine))) for _ in range(3)] == [2.0] * 3

    assert reads.count == 1


def test_several_inputs_and_outputs_lie_where_they_were(reads: Reads) -> None:
    specs = (TensorSpec("a", (1, 2), "float32"), TensorSpec("b", (1, 4), "int16"))
    model = FakeBrought("m", compute=lambda tensors: [2 * one for one in tensors], inputs=specs, outputs=specs)
    with served(box(model).loaded("m")) as port, RawClient(port) as client:
        found = []
        for one in (1, 2, 3):
            a, b = np.full((1, 2), one, "<f4").tobytes(), np.full((1, 4), 10 * one, "<i2").tobytes()
            about = [("b", "INT16", 4, b), ("a", "FP32", 2, a)]
            inputs = [
                {"name": name, "datatype": kind, "shape": [1, size], "parameters": {"binary_data_size": len(raw)}}
                for name, kind, size, raw in about
            ]
            outputs = [{"name": name, "parameters": {"binary_data": True}} for name in ("b", "a")]
            text = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
            length = {"Inference-Header-Content-Length": str(len(text))}
            said = client.ask("POST", INFER, text + b + a, **length)
            body = said.body[int(said.headers["inference-header-content-length"]) :]
            found.append((np.frombuffer(body[:8], "<i2").tolist(), np.frombuffer(body[8:], "<f4").tolist()))

    assert found == [([20 * one] * 4, [2.0 * one] * 2) for one in (1, 2, 3)]
    assert reads.count == 1


def test_it_holds_encrypted_too(tmp_path: Path, reads: Reads) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("box", names="DNS:localhost")
    context = ssl.create_default_context(cafile=str(authority.pair.cert))
    with served(made(VALUES), cert=pair.cert, key=pair.key) as port:
        connection = HTTPSConnection("localhost", port, timeout=20, context=context)
        connection.connect()
        found = []
        for one in range(3):
            head, end, rest = asked(one, VALUES).partition(b"\r\n\r\n")
            connection.sock.sendall(head + end + rest)
            response = connection.response_class(connection.sock, method="POST")
            response.begin()
            found.append(float(np.frombuffer(response.read()[-4:], "<f4")[0]))
        connection.close()

    assert found == [0.0, 2.0, 4.0]
    assert reads.count == 1
