"""A model on a server: our own server of the protocol, and servers that answer nonsense or nothing."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.api.access import Access
from edged.domain.errors import DeadlineError, DeviceError, EngineLostError
from edged.domain.tensor import Array, TensorSpec
from edged.engines.remote import OPEN_S, RemoteEngine, Server, open_engine
from fakes.answering import answering
from fakes.certificates import Authority
from fakes.serving import FakeBrought, box, doubled, free_port, served
from fakes.waiting import until

pytestmark = pytest.mark.slow

OPEN_FILES = Path("/proc/self/fd")
ONES = np.ones((1, 4), np.float32)
TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - of this test alone
METADATA = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
}


def at(port: int, **more: Any) -> Server:
    return Server(f"http://127.0.0.1:{port}", "double", **{"deadline_s": 2.0} | more)


@pytest.fixture
def port() -> Iterator[int]:
    made = box(FakeBrought("double")).loaded("double")
    with served(made) as port:
        yield port
    made.handlers.shelf.close()


def test_it_answers_as_the_server_does_with_the_servers_tensors(port: int) -> None:
    engine = open_engine(at(port, version="1.0.0"))

    assert (engine.infer([ONES])[0] == 2 * ONES).all()
    assert [(one.name, one.shape, one.dtype) for one in (*engine.inputs, *engine.outputs)] == [
        ("x", (1, 4), "float32"),
        ("y", (1, 4), "float32"),
    ]
    assert (engine.runtime, repr(engine)) == ("remote", f"<RemoteEngine double at 127.0.0.1:{port}>")
    engine.close()
    engine.close()


def test_it_runs_on_another_thread_than_the_one_that_opened_it_and_its_answers_are_the_callers(port: int) -> None:
    with closing(open_engine(at(port))) as engine:
        found: list[Array] = []
        thread = threading.Thread(target=lambda: found.extend(engine.infer([n * ONES])[0] for n in range(3)))
        thread.start()
        thread.join(10)
    found[0][:] = 9

    assert [array[0, 0] for array in found] == [9, 2, 4]


def test_the_token_is_sent_and_shown_to_nobody() -> None:
    made = box(FakeBrought("double")).loaded("double")
    with served(made, access=Access(TOKEN.encode())) as port:
        with closing(open_engine(at(port, token=TOKEN))) as engine:
            assert (engine.infer([ONES])[0] == 2).all()
        with pytest.raises(DeviceError, match="cannot use double at 127") as caught:
            open_engine(at(port, token=TOKEN[:-1]))
    made.handlers.shelf.close()

    assert TOKEN not in repr(at(port, token=TOKEN))
    assert caught.value.code == "remote-unusable"


def test_an_answer_that_does_not_come_in_time_is_a_deadline_that_holds() -> None:
    slow = threading.Event()

    def wait(tensors: Sequence[Array]) -> list[Array]:
        slow.wait(60)
        return doubled(tensors)

    brought = FakeBrought("double")
    made = box(brought).loaded("double")
    with served(made) as port:
        engine = open_engine(at(port, deadline_s=0.2))
        brought.compute = wait
        began = time.monotonic()
        with pytest.raises(DeadlineError, match="no answer within 200 ms"):
            engine.infer([ONES])
        took_s = time.monotonic() - began
        slow.set()
    made.handlers.shelf.close()

    assert took_s < 20  # and not the server's 60


def test_a_server_that_ends_is_the_engines_loss_and_one_that_is_not_there_cannot_be_opened() -> None:
    made = box(FakeBrought("double")).loaded("double")
    with served(made) as port:
        engine = open_engine(at(port))
    made.handlers.shelf.close()

    with pytest.raises(EngineLostError, match="refused"):
        engine.infer([ONES])
    with pytest.raises(DeviceError, match="refused"):
        open_engine(at(port))


def test_a_model_that_the_server_does_not_have_cannot_be_opened(port: int) -> None:
    with pytest.raises(DeviceError, match="nobody at 127"):
        open_engine(Server(f"http://127.0.0.1:{port}", "nobody"))


def test_opening_again_and_again_leaves_nothing_behind(port: int) -> None:
    open_engine(at(port)).close()
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(10):
        open_engine(at(port)).close()

    until(lambda: not any(thread.name == "edged-remote" for thread in threading.enumerate()), "its threads have ended")
    assert len(list(OPEN_FILES.iterdir())) <= before + 2


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


def test_a_port_where_nobody_listens_is_told_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(DeviceError, match="see the server"):
        open_engine(at(free_port()))

    assert time.monotonic() - began < OPEN_S


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
        (METADATA | {"inputs": [{"name": "x", "datatype": "FP32", "shape": [10**6, 10**6]}]}, "expected one that is"),
    ],
)
def test_metadata_that_is_no_such_thing_is_refused_at_once(
    odd: Callable[[Answer, Answer], int], metadata: Any, words: str
) -> None:
    began = time.monotonic()
    with pytest.raises(DeviceError, match=words):
        open_engine(at(odd(says(metadata), answer())))
    assert time.monotonic() - began < OPEN_S


def sends(listener: socket.socket, *, pause_s: float, block: bytes, context: ssl.SSLContext | None = None) -> None:
    """Answer who comes with the beginning of an answer, and then with ``block`` for as long as it is taken."""

    def serve() -> None:
        connection, _ = listener.accept()
        with suppress(OSError), context.wrap_socket(connection, server_side=True) if context else connection as to:
            to.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                to.sendall(block)
                time.sleep(pause_s)

    threading.Thread(target=serve, daemon=True).start()


def test_a_flood_of_headers_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sends(listener, pause_s=0, block=b"a" * 65_536)
        engine = RemoteEngine(at(listener.getsockname()[1], deadline_s=5.0), (), (), is_binary=True)
        with pytest.raises(EngineLostError, match="got more than 65536 bytes when reading header line"):
            engine.infer([])


def test_the_deadline_holds_over_tls_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("triton", names="IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sends(listener, pause_s=0.05, block=b"a", context=context)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        engine = RemoteEngine(Server(url, "double", "", 0.5, None, authority.pair.cert), (), (), is_binary=True)
        began = time.monotonic()
        with pytest.raises(DeadlineError):
            engine.infer([])
        assert time.monotonic() - began < 2


def test_a_certificate_that_is_over_or_cannot_be_checked_is_refused_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("triton", names="IP:127.0.0.1", days=-1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    (tmp_path / "junk.pem").write_text("junk")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sends(listener, pause_s=1, block=b"a", context=context)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(DeviceError, match="certificate"):
            open_engine(Server(url, "double", ca=authority.pair.cert))
        for ca, words in (("junk.pem", "no certificate"), ("absent.pem", "No such file")):
            with pytest.raises(DeviceError, match=words):
                open_engine(Server(url, "double", ca=tmp_path / ca))


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
            self.send_response(status)
            self.send_header(*header)
            self.end_headers()

    with answering(Answers) as url:
        engine = RemoteEngine(Server(url.rstrip("/"), "double", deadline_s=2.0), (), (), is_binary=True)
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
        server = Server(url.rstrip("/"), "double", deadline_s=20.0)
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

        threading.Thread(target=serve, daemon=True).start()
        engine = RemoteEngine(at(listener.getsockname()[1], deadline_s=20.0), (), (), is_binary=True)
        with pytest.raises(EngineLostError, match="ends 8999999999995 bytes too early"):
            engine.infer([])


def test_a_process_that_looked_a_servers_name_up_ends_well() -> None:
    asks = "from edged.engines.remote import Server, open_engine\nopen_engine(Server('http://localhost:1', 'double'))"
    ended = subprocess.run([sys.executable, "-c", asks], capture_output=True, check=False, timeout=60)

    # An exception's, not a segmentation fault's.
    assert ended.returncode == 1
    assert b"Connection refused" in ended.stderr
