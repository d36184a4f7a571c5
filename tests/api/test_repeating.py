"""Clients that ask the same again with other numbers: their requests are not read anew, and every promise holds for them as for others."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

import numpy as np
import pytest

from edged.api import guarded, http
from edged.api.access import Access
from edged.api.alarm import Alarm
from edged.api.guarded import GuardedProtocol
from edged.api.http import InferenceApi
from edged.api.routes import Application
from edged.api.server import HttpServer, Listening
from edged.domain.errors import EngineLostError
from edged.domain.tensor import Array, TensorSpec
from edged.hardware.clock import SystemClock
from fakes.brokers import free_port
from fakes.certificates import Authority
from fakes.raw_http import RawClient, Said, request
from fakes.serving import Box, FakeBrought, box, doubled, served
from fakes.waiting import LONGEST_S, until

INFER = "/v2/models/m/infer"
VALUES = 100_000
"""Of a large body: it goes past the parser."""


class Reads:
    """Counts how often a request is read the long way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._read = http.read_call
        monkeypatch.setattr(http, "read_call", self)

    def __call__(self, *given: object) -> object:
        self.count += 1
        return self._read(*given)  # type: ignore[arg-type]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@pytest.fixture
def port() -> Iterator[int]:
    with served(made()) as port:
        yield port


def made(values: int = 4, compute: Callable[[Sequence[Array]], list[Array]] = doubled, **more: object) -> Box:
    spec = TensorSpec("x", (1, values), "float32")
    return box(FakeBrought("m", compute=compute, inputs=(spec,), outputs=(spec,)), **more).loaded("m")  # type: ignore[arg-type]


def asked(number: float, values: int = 4, path: str = INFER, headers: str = "", **more: object) -> bytes:
    numbers = np.full((1, values), number, "<f4").tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, values], "parameters": {"binary_data_size": len(numbers)}}
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}, **more}).encode()
    lines = f"Inference-Header-Content-Length: {len(text)}\r\nContent-Length: {len(text) + len(numbers)}\r\n{headers}"
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode() + text + numbers


def number(said: Said) -> float:
    """Give the number that all of an answer's are."""
    assert said.status == 200, said.body[:300]
    length = int(said.headers["inference-header-content-length"])
    found = np.frombuffer(said.body[length:], "<f4")
    assert json.loads(said.body[:length])["outputs"][0]["shape"] == [1, len(found)]
    assert len(set(found.tolist())) == 1
    return float(found[0])


def exchanged(client: RawClient, sent: bytes) -> Said:
    client.send(sent)
    return client.hear()


@pytest.mark.parametrize("values", [4, VALUES])
def test_the_same_with_other_numbers_is_read_once(reads: Reads, values: int) -> None:
    with served(made(values)) as port, RawClient(port) as client:
        found = [number(exchanged(client, asked(one, values))) for one in range(5)]

    assert found == [0, 2, 4, 6, 8]
    assert reads.count == 1


def test_the_answer_looks_as_it_did(port: int) -> None:
    with RawClient(port) as client:
        first, second = (exchanged(client, asked(1)) for _ in range(2))

    assert (first.status, first.body) == (second.status, second.body)
    assert {**first.headers, "date": ""} == {**second.headers, "date": ""}
    assert list(first.headers) == list(second.headers)


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
    ["Accept-Encoding: gzip\r\n", "Connection: close\r\n", "Content-Encoding: identity\r\n", "Expect: nothing\r\n"],
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


@contextmanager
def at_work(api: InferenceApi, *tokens: bytes) -> Iterator[tuple[int, HttpServer]]:
    """Serve what a test looks into; each reload takes the next of ``tokens``."""
    port, left = free_port(), iter(tokens)
    listening = Listening("127.0.0.1", port, 8)
    server = HttpServer(listening, lambda: Application(api.routes(), Access(token=next(left, b""))), SystemClock())
    server.start()
    until(lambda: server.working, "it answers")
    yield port, server
    server.stop()
    assert server.join(LONGEST_S)
    api.handlers.shelf.close()


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


class Gate:
    """A model that computes nothing before it is let."""

    def __init__(self) -> None:
        self.passes, self.began = threading.Event(), threading.Event()
        self.passes.set()
        self.seen: list[float] = []
        self.after: list[float] = []

    def __call__(self, tensors: Sequence[Array]) -> list[Array]:
        self.seen.append(float(tensors[0][0, 0]))
        self.began.set()
        assert self.passes.wait(LONGEST_S)
        self.after.append(float(tensors[0][0, 0]))
        return doubled(tensors)

    def shut(self) -> None:
        self.passes.clear()
        self.began.clear()


@contextmanager
def knowing(port: int, count: int, values: int = 4) -> Iterator[list[RawClient]]:
    """Give clients that have asked once."""
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(count)]
        for client in clients:
            assert number(exchanged(client, asked(1, values))) == 2.0
        yield clients


@pytest.mark.parametrize("values", [4, VALUES])
def test_who_finds_the_line_full_is_told_when_to_come_again(values: int) -> None:
    gate = Gate()
    made_box = made(values, compute=gate, queue=2)
    with served(made_box) as port, knowing(port, 4, values) as clients:
        gate.shut()
        clients[0].send(asked(2, values))
        assert gate.began.wait(LONGEST_S)
        for client in clients[1:3]:
            client.send(asked(3, values))
        until(lambda: made_box.handlers.shelf.get("m").waiting == 2, "two wait")
        # Two at once: the second is not read as what is left of the first.
        clients[3].send(asked(4, values) * 2)
        said = [clients[3].hear() for _ in range(2)]
        gate.passes.set()

        assert [one.status for one in said] == [429, 429]
        assert int(said[0].headers["retry-after"]) >= 1
        assert made_box.handlers.shelf.get("m").counts.refusals == {"overloaded": 2}
        assert [number(client.hear()) for client in clients[:3]] == [4.0, 6.0, 6.0]
        assert number(exchanged(clients[3], asked(4, values))) == 8.0


def test_who_is_refused_and_sends_no_more_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MESSAGE_S", 0.5)
    gate = Gate()
    made_box = made(VALUES, compute=gate, queue=1)
    with served(made_box) as port, knowing(port, 3, VALUES) as clients:
        gate.shut()
        clients[0].send(asked(2, VALUES))
        assert gate.began.wait(LONGEST_S)
        clients[1].send(asked(3, VALUES))
        until(lambda: made_box.handlers.shelf.get("m").waiting == 1, "one waits")
        clients[2].send(asked(4, VALUES)[:-4])

        assert clients[2].hear().status == 429
        assert clients[2].is_closed()
        gate.passes.set()
        assert [number(client.hear()) for client in clients[:2]] == [4.0, 6.0]


def test_a_limit_holds_in_the_line() -> None:
    gate = Gate()
    made_box = made(compute=gate)
    with served(made_box) as port, RawClient(port) as client, RawClient(port) as other:
        limit = {"parameters": {"binary_data_output": True, "timeout": 200_000}}
        assert number(exchanged(client, asked(1, **limit))) == 2.0
        gate.shut()
        other.send(asked(5))
        assert gate.began.wait(LONGEST_S)
        said = exchanged(client, asked(2, **limit))
        gate.passes.set()

        assert said.status == 504
        assert number(other.hear()) == 10.0
        assert number(exchanged(client, asked(3, **limit))) == 6.0


def test_who_goes_away_leaves_the_line_and_the_memory() -> None:
    gate = Gate()
    made_box = made(VALUES, compute=gate)
    api = InferenceApi(made_box.handlers, 4_000_000)
    with at_work(api) as (port, _), knowing(port, 3, VALUES) as (first, second, third):
        gate.shut()
        first.send(asked(2, VALUES))
        assert gate.began.wait(LONGEST_S)
        second.send(asked(3, VALUES))
        third.send(asked(4, VALUES)[:-4])
        until(lambda: made_box.handlers.shelf.get("m").waiting == 1, "one waits")
        second.close()
        third.close()
        until(lambda: made_box.handlers.shelf.get("m").waiting == 0, "it left the line")
        gate.passes.set()

        assert number(first.hear()) == 4.0
        assert 3.0 not in gate.seen
        until(lambda: api.buffers.taken == 0, "no body lies anywhere")


def test_the_numbers_of_a_run_that_nobody_waits_for_are_not_written_over() -> None:
    gate = Gate()
    api = InferenceApi(made(VALUES, compute=gate).handlers, 4_000_000)
    with at_work(api) as (port, _), knowing(port, 2, VALUES) as (first, second):
        gate.shut()
        first.send(asked(2, VALUES))
        assert gate.began.wait(LONGEST_S)
        first.close()
        until(lambda: api.buffers.taken == 0, "its memory was given back")
        second.send(asked(3, VALUES))
        until(lambda: api.buffers.taken > 0, "the next one came")
        time.sleep(0.1)
        gate.passes.set()

        assert number(second.hear()) == 6.0
        assert gate.after == gate.seen


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


def test_a_body_that_was_on_its_way_is_answered_by_the_newer_version() -> None:
    tripled = FakeBrought("m", "2.0.0", compute=lambda tensors: [3 * tensors[0]])
    models = [FakeBrought("m"), tripled]
    made_box = box(make={"m": lambda: models.pop(0)}).loaded("m")
    with served(made_box) as port, knowing(port, 1) as (client,):
        sent = asked(1)
        client.send(sent[:-4])
        time.sleep(0.2)
        made_box.handlers.load("m")
        client.send(sent[-4:])

        assert number(client.hear()) == 3.0


def test_a_body_that_was_on_its_way_is_not_given_to_a_model_that_takes_something_else() -> None:
    wide = TensorSpec("x", (1, 8), "float32")
    models = [FakeBrought("m"), FakeBrought("m", "2.0.0", inputs=(wide,), outputs=(wide,))]
    made_box = box(make={"m": lambda: models.pop(0)}).loaded("m")
    with served(made_box) as port, knowing(port, 1) as (client,):
        sent = asked(1)
        client.send(sent[:-4])
        time.sleep(0.2)
        made_box.handlers.load("m")
        client.send(sent[-4:])

        assert client.hear().status == 503


def test_the_end_of_the_server_lets_bodies_go_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.api.server.LEAVE_S", 1)
    api = InferenceApi(made(VALUES).handlers, 4_000_000)
    with at_work(api) as (port, server), knowing(port, 1, VALUES) as (client,):
        client.send(asked(1, VALUES)[:-4])
        until(lambda: api.buffers.taken > 0, "its memory is there")
        server.stop()
        assert server.join(LONGEST_S)

    assert api.buffers.taken == 0


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


@dataclass
class Standing:
    """A transport that is closing, of which a client takes what a test says."""

    left: int = 100
    is_aborted: bool = False

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.is_aborted = True


def test_who_takes_nothing_while_the_connection_closes_is_cut_off_and_who_takes_is_not() -> None:
    connection = GuardedProtocol.__new__(GuardedProtocol)
    connection.transport = transport = Standing()  # type: ignore[assignment]
    connection._stood = None
    for now_s in range(100):
        transport.left -= 1
        connection.look(float(now_s))
    assert not transport.is_aborted
    connection.look(99.0 + guarded.WRITE_S)
    assert not transport.is_aborted
    connection.look(100.0 + guarded.WRITE_S)
    assert transport.is_aborted


def test_what_fails_is_told_and_the_connection_goes_on() -> None:
    fails = [False, True, False]

    def compute(tensors: Sequence[Array]) -> list[Array]:
        if fails.pop(0):
            message = "cannot run: it broke"
            raise EngineLostError(message)
        return doubled(tensors)

    with served(made(compute=compute)) as port, RawClient(port) as client:
        said = [exchanged(client, asked(1)) for _ in range(3)]

    assert [one.status for one in said] == [200, 503, 200]
    assert "it broke" in said[1].error


def test_the_end_of_the_server_waits_for_the_answer() -> None:
    gate = Gate()
    api = InferenceApi(made(compute=gate).handlers, 4_000_000)
    with at_work(api) as (port, server), knowing(port, 1) as (client,):
        gate.shut()
        client.send(asked(2))
        assert gate.began.wait(LONGEST_S)
        server.stop()
        assert not server.join(0.5)
        gate.passes.set()
        said = client.hear()

        assert number(said) == 4.0
        assert said.headers["connection"] == "close"
        assert client.is_closed()


def test_a_body_that_does_not_come_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MESSAGE_S", 0.3)
    with served(made()) as port, RawClient(port) as client:
        assert number(exchanged(client, asked(1))) == 2.0
        client.send(asked(2)[:-4])
        assert client.is_closed()


def test_who_says_nothing_after_an_answer_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.api.server.KEEP_ALIVE_S", 1)
    with served(made()) as port, RawClient(port) as client:
        assert [number(exchanged(client, asked(1))) for _ in range(2)] == [2.0, 2.0]
        began_s = time.monotonic()
        assert client.is_closed()
        assert time.monotonic() - began_s > 0.5


def test_a_head_that_does_not_end_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "HEAD_S", 0.3)
    with served(made()) as port, RawClient(port) as client:
        assert [number(exchanged(client, asked(1))) for _ in range(2)] == [2.0, 2.0]
        client.send(b"POST /v2")
        assert client.is_closed()


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


def test_an_alarm_rings_once_its_time_is_over_and_never_for_what_was_set_before() -> None:
    rung: list[str] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        alarm = Alarm(loop)
        alarm.set(0.01, lambda: rung.append("first"))
        alarm.set(60.0, lambda: rung.append("long"))
        await asyncio.sleep(0.05)
        assert alarm.is_set
        assert rung == []
        alarm.set(0.01, lambda: rung.append("short"))
        await asyncio.sleep(0.05)
        assert rung == ["short"]
        alarm.set(0.01, lambda: rung.append("cleared"))
        alarm.clear()
        await asyncio.sleep(0.05)
        alarm.set(0.01, lambda: rung.append("closed"))
        alarm.close()
        await asyncio.sleep(0.05)
        assert not alarm.is_set

    asyncio.run(run())
    assert rung == ["short"]
