"""Who tries tokens is not listened to for a while; who was left with one old token, and everybody else, is."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from edged.api.access import Access
from edged.api.grpc_messages import SERVICE
from edged.api.guesses import MOST, MOST_ADDRESSES, WINDOW_S, Guesses
from edged.api.refusal import RefusedError
from edged.api.routes import Application, Route, document
from edged.api.server import HttpServer, Listening
from edged.hardware.clock import SystemClock
from fakes.brokers import free_port
from fakes.raw_http import RawClient
from fakes.serving import FakeBrought, box
from fakes.serving_grpc import served as grpc_served
from fakes.waiting import until

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - of this test alone
HERE, THERE = "192.0.2.7", "192.0.2.8"


class Watch:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def guesses(watch: Watch) -> Guesses:
    return Guesses(watch)


def tries(guesses: Guesses, count: int, address: str = HERE) -> None:
    for index in range(count):
        guesses.wrong(address, f"Bearer {address}-{index}")


def is_heard(guesses: Guesses, address: str = HERE) -> bool:
    try:
        guesses.check(address)
    except RefusedError:
        return False
    return True


def test_an_address_that_tries_many_is_not_heard_until_a_minute_after_and_others_are(
    guesses: Guesses, watch: Watch
) -> None:
    tries(guesses, MOST - 1)
    assert is_heard(guesses)
    watch.now_s += 10.0
    guesses.wrong(HERE, "Bearer one-more")

    with pytest.raises(RefusedError, match=f"{MOST} wrong tokens within 60 s") as refused:
        guesses.check(HERE)

    assert (refused.value.kind, refused.value.retry_after_s) == ("guessing", WINDOW_S - 10.0)
    assert is_heard(guesses, THERE)
    watch.now_s += WINDOW_S - 10.0
    assert is_heard(guesses)


def test_one_old_token_shuts_nobody_out_and_none_at_all_counts_for_nothing(guesses: Guesses) -> None:
    for _ in range(10 * MOST):
        guesses.wrong(HERE, "Bearer the-one-of-last-year")
        guesses.wrong(HERE, "")

    assert is_heard(guesses)


def test_slow_guesses_are_no_flood(guesses: Guesses, watch: Watch) -> None:
    for index in range(10 * MOST):
        guesses.wrong(HERE, f"Bearer {index}")
        watch.now_s += WINDOW_S / (MOST - 1)

    assert is_heard(guesses)


def test_of_ipv6_a_network_counts_as_one_and_what_maps_ipv4_as_itself(guesses: Guesses) -> None:
    for index in range(MOST):
        guesses.wrong(f"2001:db8::{index:x}%eth0", f"Bearer {index}")
        guesses.wrong(f"::ffff:192.0.2.{index}", f"Bearer {index}")

    assert not is_heard(guesses, "2001:db8::ffff")
    assert is_heard(guesses, "2001:db8:0:1::1")
    assert is_heard(guesses, "::ffff:192.0.2.1")


def test_memory_is_bounded_and_who_came_first_is_forgotten_first(guesses: Guesses) -> None:
    tries(guesses, 10 * MOST)
    for index in range(MOST_ADDRESSES - 1):
        guesses.wrong(f"10.0.{index // 250}.{index % 250}", "Bearer x")
    assert not is_heard(guesses)

    guesses.wrong(THERE, "Bearer x")

    assert is_heard(guesses)
    assert repr(guesses) == f"<Guesses: {MOST_ADDRESSES} addresses>"
    assert max(len(tokens) for tokens in guesses._wrong.values()) <= 2 * MOST


@pytest.fixture
def web() -> Iterator[int]:
    """Serve a path for everybody and one for who has the token."""

    async def answer(_request: object) -> object:
        return document({})

    rows = [Route("GET", "/free", answer, "open", ""), Route("GET", "/closed", answer, "read", "")]  # type: ignore[arg-type]
    port = free_port()
    listening = Listening("127.0.0.1", port, 64)
    server = HttpServer(listening, lambda: Application(rows, Access(TOKEN.encode())), SystemClock())
    server.start()
    until(lambda: server.working, "it answers")
    yield port
    server.stop()
    assert server.join(60)


def said(port: int, path: str, token: str) -> tuple[int, bool]:
    """Give the status, and whether the answer says when to come again."""
    with RawClient(port) as client:
        answer = client.ask("GET", path, Authorization=f"Bearer {token}")
        return answer.status, 0 < int(answer.headers.get("retry-after", 0)) <= WINDOW_S


def test_over_http_who_guesses_is_refused_with_429_whatever_it_brings_and_probes_go_on(web: int) -> None:
    stale = {said(web, "/closed", "the-token-of-last-year") for _ in range(MOST + 5)}
    guessed = {said(web, "/closed", f"guess-number-{index}") for index in range(MOST - 1)}

    assert stale == guessed == {(401, False)}
    assert said(web, "/closed", TOKEN) == (429, True)
    assert said(web, "/closed", "another") == (429, True)
    assert said(web, "/free", "") == (200, False)


@pytest.mark.slow
def test_over_grpc_who_guesses_is_refused_as_exhausted_and_probes_go_on() -> None:
    made = box(FakeBrought("double")).loaded("double")
    with grpc_served(made, Access(TOKEN.encode())) as where, grpc.insecure_channel(where) as channel:
        guessed = {code(channel, "ServerMetadata", f"guess-number-{index}") for index in range(MOST)}
        last = (
            code(channel, "ServerMetadata", TOKEN),
            code(channel, "ServerMetadata", "x"),
            code(channel, "ServerLive", ""),
        )

    assert guessed == {"UNAUTHENTICATED"}
    assert last == ("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "OK")


def code(channel: grpc.Channel, call: str, token: str) -> str:
    try:
        channel.unary_unary(f"/{SERVICE}/{call}")(b"", metadata=(("authorization", f"Bearer {token}"),))
    except grpc.RpcError as error:
        return str(error.code().name)  # type: ignore[attr-defined] # a call, too
    return "OK"
