"""Clients of gRPC that hold what they need not: each costs itself, and others go on being answered."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from tritonclient import grpc as triton

from edged.api import grpc as server
from edged.api.access import Access
from edged.api.grpc_messages import SERVICE
from fakes.serving import FakeBrought, box
from fakes.serving_grpc import served
from fakes.waiting import until

pytestmark = pytest.mark.slow

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - of this test alone
MOST = 8
STREAMS = 3


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Serve with few places and a token; a handshake gets as long as a busy machine may take for it."""
    for name, few in (("MOST_CALLS", MOST), ("MOST_STREAMS", STREAMS), ("MOST_CONNECTIONS", MOST)):
        monkeypatch.setattr(server, name, few)
    monkeypatch.setattr(server, "HANDSHAKE_MS", 2000)
    with served(box(FakeBrought("double")).loaded("double"), Access(TOKEN.encode())) as where:
        yield int(where.rpartition(":")[2])


def is_live(port: int) -> bool:
    try:
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            return bool(client.is_server_live(client_timeout=5))
    except Exception:  # noqa: BLE001 - whatever it says, it is no yes
        return False


def half_open(port: int, token: str, call: str = "ModelInfer") -> tuple[grpc.Channel, Any]:
    """Begin a call and never send its request."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
    silent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    asked = channel.stream_stream(f"/{SERVICE}/{call}")
    return channel, asked(iter(silent.get, b""), metadata=(("authorization", f"Bearer {token}"),))


def test_who_has_no_token_is_turned_away_before_a_request_has_come_and_holds_no_thread(port: int) -> None:
    held = [half_open(port, "guess" * 4) for _ in range(MOST - 1)]

    until(lambda: all(call.done() for _, call in held), "each is answered")

    assert [call.code() for _, call in held] == [grpc.StatusCode.UNAUTHENTICATED] * (MOST - 1)
    until(lambda: is_live(port), "others are answered")
    for channel, _ in held:
        channel.close()


def test_streams_that_say_nothing_leave_a_place_for_single_calls_and_give_theirs_back(port: int) -> None:
    channel, first = half_open(port, TOKEN, "ModelStreamInfer")
    stream = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
    silent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    calls = [first, *(stream(iter(silent.get, b""), metadata=metadata) for _ in range(STREAMS))]
    # Whichever came last: they do not arrive in the order in which they were begun.
    until(lambda: any(call.done() for call in calls), "one is refused")
    held, (refused,) = [call for call in calls if not call.done()], [call for call in calls if call.done()]
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert "expected fewer" in refused.details()
    until(lambda: is_live(port), "single calls are answered")
    for call in held:
        call.cancel()

    until(lambda: _answers(stream, metadata), "a place is free again")
    channel.close()


def _answers(stream: Any, metadata: Any) -> bool:
    try:
        return bool(next(stream(iter([b""]), metadata=metadata)))
    except grpc.RpcError:
        return False


def test_connections_that_say_nothing_are_cut_off_and_others_get_in(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(3 * MOST)]

    until(lambda: is_live(port), "somebody gets in")

    for one in silent:
        one.settimeout(60)
        with suppress(ConnectionResetError):  # an end as well
            while one.recv(1000):
                """Its greeting, and then its end."""
        one.close()
