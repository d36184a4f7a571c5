"""The server as a part of the daemon: it starts when it can, says why it cannot, and takes new tokens without a break."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from edged.api import guarded, server
from edged.api.access import Access
from edged.api.health import routes
from edged.api.routes import Application
from edged.api.server import HttpServer, Listening
from edged.domain.errors import DeviceError
from edged.hardware.clock import SystemClock
from fakes.brokers import free_port
from fakes.certificates import Authority
from fakes.raw_http import RawClient
from fakes.serving import box
from fakes.waiting import until


def made(port: int, build: Callable[[], Access] = Access, **more: Path) -> HttpServer:
    rows = list(routes(box().handlers.condition, "0", list))
    return HttpServer(Listening("127.0.0.1", port, 8, **more), lambda: Application(rows, build()), SystemClock())


def test_a_port_that_is_taken_is_a_reason_until_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BEAT_S", 0.02)
    monkeypatch.setattr(server, "AGAIN_S", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        part = made(port)
        part.start()
        until(lambda: bool(part.reasons()), "it says why")
        (reason,) = part.reasons()
        assert (reason.code, reason.fatal, part.working) == ("http-down", True, False)
        assert f"127.0.0.1:{port}: " in reason.message
        assert reason.remedy == "free the port, or change [http] listen"

    until(lambda: part.working, "it answers")
    assert part.reasons() == ()
    assert repr(part) == f"<HttpServer http://127.0.0.1:{port}: answers>"
    part.stop()
    assert part.join(30)


def test_its_heart_beats_and_it_has_no_end_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BEAT_S", 0.01)
    part = made(free_port())
    part.start()
    until(lambda: part.working, "it answers")
    before = part.heartbeat_ns

    until(lambda: part.heartbeat_ns > before, "its heart beats")

    assert not part.ended
    part.stop()
    assert part.join(30)


def test_a_reload_takes_new_tokens_and_keeps_the_old_ones_when_they_cannot_be_read() -> None:
    access = [Access(b"a" * 20)]

    def build() -> Access:
        if not access:
            raise DeviceError("cannot read the secret", remedy="put it there")
        return access[0]

    port = free_port()
    part = made(port, build)
    part.start()
    until(lambda: part.working, "it answers")

    def status(token: str) -> int:
        with RawClient(port) as client:
            return client.ask("GET", "/api/health", Authorization=f"Bearer {token * 20}").status

    before = status("a"), status("b")
    access[0] = Access(b"b" * 20)
    part.reload()
    after = status("a"), status("b")
    access.clear()
    part.reload()
    told = [(reason.code, reason.remedy) for reason in part.reasons()]

    assert (before, after) == ((200, 401), (401, 200))
    assert status("b") == 200
    assert told == [("http-token", "put it there")]
    part.stop()
    assert part.join(30)


def test_with_a_certificate_it_speaks_https_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("box", names="DNS:localhost")
    port = free_port()
    part = made(port, cert=pair.cert, key=pair.key)
    part.start()
    until(lambda: part.working, "it answers")
    connection = HTTPSConnection(
        "localhost", port, timeout=10, context=ssl.create_default_context(cafile=str(authority.pair.cert))
    )
    connection.request("GET", "/healthz")

    assert connection.getresponse().status == 200
    connection.close()
    with RawClient(port) as plain:
        plain.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.is_closed()
    part.stop()
    assert part.join(30)


def test_who_begins_no_encryption_loses_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "HEAD_S", 0.3)
    pair = Authority(tmp_path).sign("box", names="DNS:localhost")
    port = free_port()
    part = made(port, cert=pair.cert, key=pair.key)
    part.start()
    until(lambda: part.working, "it answers")
    with RawClient(port) as silent, RawClient(port) as drips:
        drips.send(b"\x16\x03\x01")
        assert silent.is_closed()
        assert drips.is_closed()
    part.stop()
    assert part.join(30)


def test_a_certificate_that_is_none_is_a_reason(tmp_path: Path) -> None:
    part = made(free_port(), cert=tmp_path / "absent.pem", key=tmp_path / "absent.key")
    part.start()
    until(lambda: bool(part.reasons()), "it says why")

    assert not part.working
    assert part.reasons()[0].code == "http-down"
    assert repr(part).startswith("<HttpServer https://127.0.0.1:")
    part.stop()
    assert part.join(30)


def test_what_was_never_started_is_joined_at_once() -> None:
    assert made(free_port()).join(0)
