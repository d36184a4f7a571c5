"""A model on servers that answer nonsense, too much, too slowly, or nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from edged.domain.errors import DeadlineError, DeviceError, EngineLostError
from edged.domain.tensor import TensorSpec
from edged.engines.remote import OPEN_S, RemoteEngine, Server, open_engine
from fakes.answering import answering
from fakes.modelserver import METADATA, ONES, at, sends
from fakes.waiting import LONGEST_S

pytestmark = pytest.mark.slow
Answer = Callable[[BaseHTTPRequestHandler], bytes]


@pytest.fixture
def odd() -> Iterator[Callable[[Answer, Answer], int]]:
    """Give a function that starts a server of one's own answers, to metadata and to inference; and its port."""

    def start(metadata: Answer, infer: Answer) -> int:
        class Odd(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._say(b'{"name": "odd"}' if self.path == "/v2" else metadata(self))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._say(infer(self))

            def _say(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return int(servers.enter_context(answering(Odd)).rstrip("/").rpartition(":")[2])

    with ExitStack() as servers:
        yield start


def says(document: Any) -> Answer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return lambda _handler: body


def answer(**more: Any) -> Answer:
    return says(
        {
            "model_name": "double",
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [2.0] * 4} | more],
        }
    )


def in_turn(*answers: Answer) -> Answer:
    left = iter(answers)

    def say(handler: BaseHTTPRequestHandler) -> bytes:
        return next(left)(handler)

    return say


def test_a_server_without_the_binary_extension_is_asked_in_json(odd: Callable[[Answer, Answer], int]) -> None:
    asked: list[str | None] = []

    def infer(handler: BaseHTTPRequestHandler) -> bytes:
        asked.append(handler.headers.get("Inference-Header-Content-Length"))
        return answer()(handler)

    with closing(open_engine(at(odd(says(METADATA), infer)))) as engine:
        assert (engine.infer([ONES])[0] == 2).all()
    assert asked == [None, None]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "its answer lacks 'inputs'"),
        (b"<html>", "cannot use double"),
        (METADATA | {"inputs": []}, "names no tensors"),
        (METADATA | {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, -1]}]}, "expected one that is fixed"),
        (METADATA | {"outputs": [{"name": "y", "datatype": "BYTES", "shape": [1]}]}, "holds BYTES, expected numbers"),
        (METADATA | {"outputs": [{"name": "y", "datatype": "ODD", "shape": [1]}]}, "holds ODD, expected numbers"),
        (
            METADATA | {"inputs": [{"name": str(at), "datatype": "FP32", "shape": [1, 2**20]} for at in range(33)]},
            "tell of 34603008 numbers, expected at most 33554432",
        ),
    ],
)
def test_metadata_that_no_frame_could_fill_is_refused(
    odd: Callable[[Answer, Answer], int], metadata: Any, words: str
) -> None:
    with pytest.raises(DeviceError, match=words):
        open_engine(at(odd(says(metadata), answer())))


@pytest.mark.parametrize(
    "infer",
    [
        says(b"\x00"),
        says({}),
        says({"outputs": []}),
        answer(shape=[1, 3], data=[2.0] * 3),
        answer(datatype="FP64"),
        answer(name="z"),
    ],
)
def test_an_answer_that_is_none_is_the_engines_loss(odd: Callable[[Answer, Answer], int], infer: Answer) -> None:
    engine = open_engine(at(odd(says(METADATA), in_turn(answer(), infer))))

    with pytest.raises(EngineLostError, match="cannot run double at 127"):
        engine.infer([ONES])


def test_a_server_that_dribbles_is_held_to_the_deadline() -> None:
    ends = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def dribble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not ends.wait(0.05):
                    connection.sendall(b" ")

        threading.Thread(target=dribble, daemon=True).start()
        server = at(listener.getsockname()[1], deadline_s=0.3)
        engine = RemoteEngine(server, (), (), is_binary=True)
        began = time.monotonic()
        with pytest.raises(DeadlineError):
            engine.infer([])
        assert time.monotonic() - began < 20  # the whole answer takes 50
        ends.set()


@pytest.mark.parametrize(
    "infer",
    [
        says([]),
        says(None),
        says({"outputs": "y"}),
        says({"outputs": [1]}),
        says(b"[" * 100_000),
        answer(shape="a"),
        answer(datatype="INT32", data=[10**40] * 4),
        answer(parameters={"binary_data_size": 16}),
        answer(parameters=[1]),
        says(b" " * 3_000_000),
    ],
)
def test_an_answer_of_another_shape_or_without_an_end_is_the_engines_loss_too(
    odd: Callable[[Answer, Answer], int], infer: Answer
) -> None:
    engine = open_engine(at(odd(says(METADATA), in_turn(answer(), infer))))

    with pytest.raises(EngineLostError, match="cannot run double at 127"):
        engine.infer([ONES])


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "none of the protocol's"),
        ([], "none of the protocol's"),
        (METADATA | {"inputs": "x"}, "none of the protocol's"),
        (METADATA | {"inputs": [{"name": "x", "datatype": "FP32", "shape": [10**6, 10**6]}]}, "expected at most"),
    ],
)
def test_metadata_that_is_no_such_thing_is_refused_at_once(
    odd: Callable[[Answer, Answer], int], metadata: Any, words: str
) -> None:
    began = time.monotonic()
    with pytest.raises(DeviceError, match=words):
        open_engine(at(odd(says(metadata), answer())))
    assert time.monotonic() - began < OPEN_S


def test_a_flood_of_headers_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sends(listener, pause_s=0, block=b"a" * 65_536)
        engine = RemoteEngine(at(listener.getsockname()[1]), (), (), is_binary=True)
        with pytest.raises(EngineLostError, match="got more than 65536 bytes when reading header line"):
            engine.infer([])


@pytest.mark.parametrize(
    ("status", "header", "words"),
    [
        (200, ("Content-Encoding", "gzip"), "is compressed"),
        # Whoever is at the other end would be shown the token.
        (307, ("Location", "http://127.0.0.1:1/"), "status 307"),
    ],
)
def test_no_answer_is_unpacked_and_no_redirect_followed(status: int, header: tuple[str, str], words: str) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))  # or closing resets the connection
            self.send_response(status)
            self.send_header(*header)
            self.end_headers()

    with answering(Answers) as url:
        engine = RemoteEngine(Server(url.rstrip("/"), "double", deadline_s=LONGEST_S), (), (), is_binary=True)
        with pytest.raises(EngineLostError, match=words):
            engine.infer([])


def test_a_connection_that_the_server_let_go_meanwhile_is_made_anew() -> None:
    class Leaves(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = answer()(self)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            # It said nothing of that.
            self.close_connection = True

    specs = [TensorSpec(name, (1, 4), "float32") for name in ("x", "y")]
    with answering(Leaves) as url:
        server = Server(url.rstrip("/"), "double", deadline_s=LONGEST_S)
        with closing(RemoteEngine(server, (specs[0],), (specs[1],), is_binary=False)) as engine:
            told = [float(engine.infer([ONES])[0][0, 0]) for _ in range(4)]

    assert told == [2, 2, 2, 2]


def test_an_answer_that_tells_of_terabytes_takes_no_memory() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000\r\n\r\nshort")
                connection.shutdown(socket.SHUT_WR)
                # What was not read of the request would break the connection off, and its answer with it.
                while connection.recv(65_536):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        engine = RemoteEngine(at(listener.getsockname()[1], deadline_s=LONGEST_S), (), (), is_binary=True)
        with pytest.raises(EngineLostError, match="ends 8999999999995 bytes too early"):
            engine.infer([])
