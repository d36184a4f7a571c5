"""Clients that send garbage, or nothing, or too much: each costs itself, and nobody else anything."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from edged.api import guarded
from fakes.raw_http import RawClient, request
from fakes.serving import FakeBrought, box, served


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
    monkeypatch.setattr(guarded, "HEAD_S", 0.2)
    with RawClient(port) as client:
        assert client.ask("GET", "/healthz").status == 200
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


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[int]:
    with served(box(FakeBrought("m")).loaded("m")) as port:
        yield port


@seed(20261121)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    """Send the same until the connection breaks, or so much was taken that it never will."""
    for _ in range(2000):
        client.send(data)
        time.sleep(0.001)


def until_answered(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            if answers(port):
                return
        except (ConnectionError, OSError):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.01)
