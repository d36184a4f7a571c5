"""Events to a URL, on a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edged.domain.errors import DeviceError, EdgedError
from edged.sinks.webhook import Webhook
from fakes.certificates import Authority
from fakes.clock import FakeClock
from fakes.hooked import hooked

TOKEN = "seven"  # noqa: S105 - of a test
EVENT = {"pipeline": "gate", "rule": "r", "phase": "start", "label": "Füße"}


def webhook(url: str, waited: list[float], *, token: str | None = None, **more: Any) -> Webhook:
    clock = FakeClock()

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        clock.advance(seconds)
        return False

    return Webhook(url, clock, wait, token=lambda: token, **more)


def test_the_document_arrives_with_its_token() -> None:
    with hooked() as server:
        webhook(server.url, [], token=TOKEN).do(EVENT)

    ((headers, body),) = server.sent
    assert body == EVENT
    assert (headers["authorization"], headers["content-type"]) == ("Bearer seven", "application/json")


def test_a_server_that_is_busy_or_faulty_is_asked_again_with_the_same_key() -> None:
    waited: list[float] = []
    with hooked(503, 429, 500, 200) as server:
        webhook(server.url, waited).do(EVENT)

    assert waited == [1.0, 2.0, 4.0]
    assert len({headers["idempotency-key"] for headers, _ in server.sent}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 302])
def test_what_a_server_refuses_is_not_sent_again_and_no_token_follows_a_redirect(status: int) -> None:
    with hooked(status) as server, pytest.raises(DeviceError, match=f"answers {status}"):
        webhook(server.url, [], token=TOKEN).do(EVENT)

    assert len(server.sent) == 1


def test_a_server_that_stays_away_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    waited: list[float] = []

    with pytest.raises(DeviceError, match="5 times; expected an answer of 2xx"):
        webhook(f"http://127.0.0.1:{port}/", waited, give_up_after_s=20.0).do(EVENT)
    assert waited == [1.0, 2.0, 4.0, 8.0]


def test_the_end_of_edged_ends_the_tries() -> None:
    with hooked(*[503] * 50) as server:
        stopping = Webhook(server.url, FakeClock(), lambda _seconds: True, token=lambda: None)
        with pytest.raises(DeviceError, match="1 times"):
            stopping.do(EVENT)


@contextmanager
def talking(*pieces: bytes, every_s: float = 0.0) -> Iterator[str]:
    """Answer one request after the other with these bytes, as slowly as wanted, and keep the connection; gives the URL."""
    ended = threading.Event()

    def answer() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                kept.append(client)
                client.recv(65536)
                for piece in pieces:
                    client.sendall(piece)
                    ended.wait(every_s)

    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hooks/a-secret?of=it"
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        for client in kept:
            client.close()
        thread.join()


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((b"\x00 no server of HTTP\r\n\r\n",), "no server of HTTP, 1 times"),
        ((b"HTTP/1.1 ", *[b" "] * 1000), "1 times"),
        ((b"HTTP/1.1 404 Gone\r\nContent-Length: 100\r\n\r\n",), "the server answers 404, expected 2xx"),
    ],
)
def test_a_server_that_speaks_no_http_drips_or_stalls_is_told_in_time_without_the_urls_secret(
    pieces: tuple[bytes, ...], words: str
) -> None:
    began_s = time.monotonic()
    with talking(*pieces, every_s=0.05) as url, pytest.raises(DeviceError, match=words) as caught:
        webhook(url, [], timeout_s=2.0, give_up_after_s=0.1).do(EVENT)

    assert time.monotonic() - began_s < 20  # the drops alone take fifty
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["seven\r\nX-Admin: yes", "sévén", "seven\x00"])
def test_a_token_that_is_no_header_is_refused_and_not_told(token: str) -> None:
    with hooked() as server, pytest.raises(DeviceError, match="its token holds what no header may") as caught:
        webhook(server.url, [], token=token).do(EVENT)

    assert server.sent == []
    assert token[:4] not in str(caught.value)


def test_a_server_is_trusted_that_the_authority_vouches_for_and_no_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("hook", names="IP:127.0.0.1")
    with hooked(pair=pair) as server:
        webhook(server.url, [], ca=authority.pair.cert).do(EVENT)
        with pytest.raises(DeviceError, match="expected a server that ca vouches for"):
            webhook(server.url, []).do(EVENT)

    assert len(server.sent) == 1


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(EdgedError, match=r"cannot read .*gone\.pem"):
        webhook("https://127.0.0.1:1/", [], ca=tmp_path / "gone.pem").do(EVENT)
