"""Clients that send garbage, or nothing, or too much: each costs itself, and nobody else anything."""

from __future__ import annotations

import gc
import os
import threading
import time
import tracemalloc
from collections.abc import Iterator
from operator import le
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from edged.api import guarded
from fakes.raw_http import RawClient, request
from fakes.serving import FakeBrought, box, served
from fakes.waiting import LONGEST_S, until

INPUTS = int(os.environ.get("EDGED_SOAK_INPUTS", "1000"))
"""``make soak`` gives a million."""


@pytest.fixture
def port() -> Iterator[int]:
    with served(box(FakeBrought("m")).loaded("m"), most_connections=4) as port:
        yield port


def answers(port: int) -> bool:
    with RawClient(port) as client:
        return client.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0" * 100,
    ],
    ids=["tls", "short", "version", "negative", "two-lengths", "length-and-chunks", "path", "zeros"],
)
def test_garbage_is_refused_and_its_connection_closed(port: int, garbage: bytes) -> None:
    with RawClient(port) as client:
        client.send(garbage)
        client.send(b"\r\n\r\n")
        assert client.is_closed()
    assert answers(port)


def test_a_head_without_an_end_is_cut_off(port: int) -> None:
    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\r\nX: ")
        with pytest.raises(ConnectionError):
            send_on(client, b"x" * 65_536)
    assert answers(port)


def test_more_headers_than_anybody_needs_are_refused(port: int) -> None:
    with RawClient(port) as client:
        many = "".join(f"x-{number}: 1\r\n" for number in range(200))
        client.send(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n".encode())
        assert client.hear().status == 400


def test_who_says_nothing_loses_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "HEAD_S", 0.1)
    with RawClient(port) as client:
        assert client.is_closed()


def test_who_drips_a_head_loses_the_connection_even_after_a_good_request(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawClient(port) as client:
        assert client.ask("GET", "/healthz").status == 200
        monkeypatch.setattr(guarded, "HEAD_S", 0.2)
        client.send(b"G")
        assert client.is_closed()


def test_who_drips_a_body_loses_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MESSAGE_S", 0.2)
    with RawClient(port) as client:
        client.send(request("POST", "/v2/models/m/infer", b"", Content_Length="100000")[:-2] + b"\r\n{")
        assert client.is_closed()
    assert answers(port)


def test_who_does_not_take_the_answer_loses_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "WRITE_S", 0.2)
    asks = request("GET", "/api/openapi.json") * 16
    with RawClient(port) as client, pytest.raises(ConnectionError):
        send_on(client, asks)
    assert answers(port)


def test_who_takes_the_answer_slowly_gets_all_of_it(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "WRITE_S", 0.3)
    asks = request("GET", "/api/openapi.json")
    with RawClient(port) as client:
        client.send(asks * 15 + asks.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        taken, began_s = 0, time.monotonic()
        while part := client.socket.recv(65_536):
            taken += len(part)
            time.sleep(0.05)

    with RawClient(port) as client:
        client.send(asks)
        (length,) = {len(client.hear().body)}
    assert taken > 16 * length
    assert time.monotonic() - began_s > guarded.WRITE_S


def test_one_connection_too_many_is_closed_and_leaves_the_others(port: int) -> None:
    held = [RawClient(port) for _ in range(4)]
    for client in held:
        assert client.ask("GET", "/healthz").status == 200
    with RawClient(port) as extra:
        assert extra.is_closed()
    assert held[0].ask("GET", "/healthz").status == 200
    for client in held:
        client.close()
    until_answered(port)


def test_one_address_does_not_take_all_connections() -> None:
    with served(box(FakeBrought("m")).loaded("m"), most_connections=16) as port:
        held = [RawClient(port) for _ in range(14)]
        for client in held:
            assert client.ask("GET", "/healthz").status == 200
        with RawClient(port) as greedy, RawClient(port, source="127.0.0.2") as other:
            assert greedy.is_closed()
            assert other.ask("GET", "/healthz").status == 200
        for client in held:
            client.close()


@pytest.mark.parametrize(
    "endless", [b"0\r\nX: " + b"x" * 65_536, b"1;" + b"x" * 65_536], ids=["trailer", "chunk-extension"]
)
def test_what_stands_beside_a_body_in_chunks_without_an_end_is_cut_off(
    port: int, endless: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "MESSAGE_S", 600)
    with RawClient(port) as client:
        client.send(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(endless)
        with pytest.raises(ConnectionError):
            send_on(client, b"x" * 65_536)
    assert answers(port)


def test_a_body_in_the_smallest_chunks_is_taken(port: int) -> None:
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}' + b" " * 20_000
    with RawClient(port) as client:
        client.send(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"".join(b"1\r\n%c\r\n" % one for one in body) + b"0\r\n\r\n")
        assert client.hear().status == 200


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Content-Length: 4\r\nContent-Length: 40",
        b"Content-Length: 4, 40",
        b"Content-Length: +4",
        b"Content-Length : 4",
        b"Content-Length: 0x4",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: identity, chunked, identity",
        b"Transfer-Encoding:\x0bchunked",
        b"X: y\r\n Content-Length: 4",
        b"X: y\rContent-Length: 4",
    ],
)
def test_a_length_that_could_be_read_in_two_ways_is_read_in_none(port: int, head: bytes) -> None:
    with RawClient(port) as client:
        client.send(
            b"POST /v2/repository/index HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n0\r\n\r\n" + SMUGGLED
        )
        said = b"".join(iter(lambda: client.socket.recv(65_536), b""))

    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 200),
        (b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET http://elsewhere/healthz HTTP/1.1\r\nHost: elsewhere\r\n\r\n", 403),
        (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET //etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"TRACE /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 403),
    ],
)
def test_nothing_else_than_http_is_spoken_and_no_other_host_is_answered(port: int, sent: bytes, status: int) -> None:
    with RawClient(port) as client:
        client.send(sent)
        said = client.socket.recv(65_536)

    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert b"Bearer x" not in said
    assert answers(port)


def test_a_client_that_goes_away_in_the_middle_leaves_nothing_behind(port: int) -> None:
    for size in (100, 100_000):
        with RawClient(port) as client:
            client.send(request("POST", "/v2/models/m/infer", b"", Content_Length=str(size))[:-2] + b"\r\n{")
    until_answered(port)


def test_a_storm_of_requests_at_once_on_one_connection_is_cut_off(port: int) -> None:
    with RawClient(port) as client:
        client.send(request("GET", "/healthz") * 200)
        client.is_closed()
    until_answered(port)


def held() -> tuple[int, int]:
    """Give what this process, which is the server's too, holds: files and threads."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[int]:
    """Serve; what so many requests leave behind is looked at in the end."""
    with served(box(FakeBrought("m")).loaded("m")) as port:
        assert answers(port)
        files, threads = held()
        yield port
        until(lambda: all(map(le, held(), (files, threads))), "every connection and thread is given back")
        assert answers(port)


NONE = [
    request(method, path, body, **headers)
    for method, path, body, headers in [
        ("POST", "/v2/models/m/infer", b"{", {}),
        ("POST", "/v2/models/m/infer", b"[" * 1000, {}),
        ("POST", "/v2/models/m/infer", b'{"inputs": [{"name": "x"}]}', {"Inference_Header_Content_Length": "3"}),
        ("POST", "/v2/models/m/infer", bytes(100_000), {"Content_Encoding": "gzip"}),
        ("POST", "/v2/models/nope/infer", bytes(1000), {}),
        ("POST", "/v2/repository/models/m/load", b'{"parameters": {"a": 1}}', {}),
        ("GET", "/" + "x" * 1000, b"", {}),
        ("GET", "/v2", b"", {"Host": "evil.example"}),
        ("X", "/v2", b"", {}),
        ("GET", "/v2 HTTP/1.1\r\nContent-Length: -1\r\nX:", b"", {}),
    ]
]


def test_requests_that_are_none_leave_nothing_behind(port: int) -> None:
    def ask(rounds: int) -> int:
        """Give how much memory is in use after so many more rounds."""
        for _ in range(rounds):
            for sent in NONE:
                with RawClient(port) as client:
                    client.send(sent)
                    assert client.socket.recv(64).startswith(b"HTTP/1.1 4")
        until(lambda: all(map(le, held(), before)), "every connection and thread is given back")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    assert answers(port)
    before = held()
    tracemalloc.start()
    try:
        warm = ask(5)
        grown = ask(20) - warm
    finally:
        tracemalloc.stop()

    # 200 requests, of which each would leave its connection's 2 KB and more.
    assert grown < 50_000


@pytest.mark.slow
@seed(20261121)
@settings(max_examples=INPUTS, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "X"]),
    st.sampled_from(
        ["/v2", "/v2/models/m/infer", "/v2/models/m", "/healthz", "*", "http://x/", "/%", "/v2/models/%2f/infer"]
    ),
    st.dictionaries(
        st.sampled_from(
            ["Host", "Content-Encoding", "Inference-Header-Content-Length", "Origin", "Accept", "Authorization"]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
        max_size=3,
    ),
    st.binary(max_size=80),
)
def test_whatever_a_client_sends_the_server_goes_on_and_never_says_500(
    fuzzed: int, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    with RawClient(fuzzed) as client:
        client.send(request(method, path, body, **headers))
        head = client.socket.recv(64)

    assert head.startswith(b"HTTP/1.1 ")
    assert not head.startswith(b"HTTP/1.1 5") or head.startswith(b"HTTP/1.1 503")


def send_on(client: RawClient, data: bytes) -> None:
    """Send the same until the connection breaks, or it never will."""
    until_s = time.monotonic() + LONGEST_S
    while time.monotonic() < until_s:
        client.send(data)
        time.sleep(0.001)


def until_answered(port: int) -> None:
    deadline = time.monotonic() + LONGEST_S
    while True:
        try:
            if answers(port):
                return
        except (ConnectionError, OSError):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.01)
